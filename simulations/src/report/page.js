(() => {
  const tree = document.getElementById('tree');
  tree?.addEventListener('change', () => {
    for (const edge of document.querySelectorAll('.edge')) {
      edge.classList.toggle('off', tree.value !== '' && !edge.classList.contains(tree.value));
    }
  });
  for (const table of document.querySelectorAll('table.sortable')) {
    table.querySelectorAll('th').forEach((head, at) => {
      let up = false;
      head.addEventListener('click', () => {
        const value = (row) => row.cells[at].dataset.v ?? row.cells[at].textContent;
        const order = (a, b) => value(a).localeCompare(value(b), 'en', { numeric: true });
        const rows = [...table.tBodies[0].rows].sort((a, b) => (up ? order(b, a) : order(a, b)) * (at < 2 ? 1 : -1));
        table.tBodies[0].append(...rows);
        up = !up;
      });
    });
  }
})();
