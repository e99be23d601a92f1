"""Where a training runs: device, threads, processes of a distributed training, SLURM."""
