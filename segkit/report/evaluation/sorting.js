// Sorts a table by the column whose title is clicked: numbers by value, dashes last.
document.querySelectorAll("table.sortable").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((title, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    button.addEventListener("click", () => {
      const ascending = title.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const value = (row) => row.cells[column].textContent;
      const number = (text) => (text === "inf" ? Infinity : Number.parseFloat(text));
      const numeric = [...body.rows].every((row) => value(row) === "-" || !Number.isNaN(number(value(row))));
      const compare = (one, other) => (numeric ? number(one) - number(other) : one.localeCompare(other, "en", { numeric: true }));
      const isEmpty = (text) => text === "-" || text === "";
      [...body.rows]
        .sort((one, other) => {
          const [a, b] = [value(one), value(other)];
          if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b);
          return ascending ? compare(a, b) : compare(b, a);
        })
        .forEach((row) => body.append(row));
    });
  });
});
