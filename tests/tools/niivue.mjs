// Prints, for each image file, its size, the steps and origin (RAS) and the voxels with each value, as NiiVue reads them.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { pathToFileURL } from 'node:url'

const [library, ...files] = process.argv.slice(2)
console.log = console.warn = console.info = console.debug = () => {}
const { NVImage } = await import(pathToFileURL(library))
for (const file of files) {
  const bytes = readFileSync(file)
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const image = await NVImage.new(buffer, basename(file))
  const voxels = {}
  image.img.forEach((value, index) => { if (value) (voxels[value] ??= []).push(index) })
  const shape = image.hdr.dims.slice(1, 4)
  process.stdout.write(JSON.stringify({ shape, affine: image.hdr.affine, voxels, colormap: image.colormap }) + '\n')
}
process.exit(0)
