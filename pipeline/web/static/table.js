// Sorts a table by a click on a heading.

const table = document.querySelector(".sortable");

/** Compares two cells' values: numbers by size, others as text, missing ones last in both directions. */
function compare(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const numeric = [a, b].every((value) => value.trim() && !Number.isNaN(Number(value)));
  return direction * (numeric ? a - b : a.localeCompare(b));
}

function sortBy(heading) {
  const first = heading.dataset.better === "higher" ? "descending" : "ascending"; // the best on top
  const opposite = { ascending: "descending", descending: "ascending" };
  const order = heading.ariaSort ? opposite[heading.ariaSort] : first;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", order);
  const value = (row) => row.cells[heading.cellIndex].dataset.value ?? "";
  const direction = order === "ascending" ? 1 : -1;
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => compare(value(a), value(b), direction)));
}

for (const button of table.tHead.querySelectorAll("button")) {
  button.addEventListener("click", () => sortBy(button.parentElement));
}
