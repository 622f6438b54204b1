// Shows the pictures of one experiment at a time.

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
