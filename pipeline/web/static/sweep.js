// Sorts the table by a click on a heading, and shows the pictures of one experiment at a time.

const table = document.querySelector("#numbers table");

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

const grid = document.querySelector(".grid");
const picker = document.querySelector(".picker");

function showPictures() {
  const [single, column] = picker.querySelectorAll("input");
  grid.classList.toggle("single", single.checked);
  column.disabled = !single.checked;
  for (const row of grid.rows) {
    for (const cell of row.cells) {
      cell.hidden = single.checked && cell.cellIndex > 0 && cell.cellIndex !== Number(column.value);
    }
  }
  const name = single.checked ? grid.tHead.rows[0].cells[column.value].innerText.replaceAll("\n", ", ") : "";
  column.setAttribute("aria-valuetext", name);
  picker.querySelector("output").textContent = name;
}

const experiments = (grid?.tHead.rows[0].cells.length ?? 0) - 1;
if (experiments > 1) {
  const [single, column] = picker.querySelectorAll("input");
  column.max = experiments;
  single.addEventListener("change", () => {
    showPictures();
    if (single.checked) column.focus();
  });
  column.addEventListener("input", showPictures);
  picker.hidden = false;
  showPictures();
}
