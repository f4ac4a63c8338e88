"use strict";
// The page is complete without this script. It adds the theme, sorting, filtering, and the numbers under the pointer. It
// only moves rows and copies text that is already in the page.

(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // The theme is the system's until you press the button. A browser may forbid storage for a file.
  const remember = (theme) => { try { localStorage.setItem("obs-report-theme", theme); } catch { /* not remembered */ } };
  const remembered = () => { try { return localStorage.getItem("obs-report-theme"); } catch { return null; } };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();

  function theme() {
    const button = document.getElementById("theme");
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    show();
    system.addEventListener("change", show);
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember(root.dataset.theme);
      show();
    });
  }

  // Sorting. A row without a value is last in both directions; equal rows keep their order.
  const words = new Intl.Collator("en", { numeric: true });

  function sortable(table) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const first = head.dataset.sort === "text" ? "ascending" : "descending";
        const second = first === "ascending" ? "descending" : "ascending";
        const direction = head.getAttribute("aria-sort") === first ? second : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction);
        const sign = direction === "ascending" ? 1 : -1;
        const keyed = [...body.rows].map((row) => [key(row.cells[column], head.dataset.sort), row]);
        keyed.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return sign * (typeof a === "number" ? a - b : words.compare(a, b));
        });
        body.append(...keyed.map(([, row]) => row));
      });
    });
  }

  function key(cell, sort) {
    if (cell.querySelector(".missing")) return null;
    return sort === "text" ? cell.textContent : Number(cell.dataset.v);
  }

  // Filtering. A row stays if it contains every word. Enter scrolls to the first such row.
  const plain = (text) => text.toLowerCase().replace(/\s+/g, " ");

  function filterable() {
    const input = document.getElementById("filter");
    const said = document.getElementById("matches");
    const sections = [...document.querySelectorAll("section[data-rows]")].map((section) => ({
      section,
      rows: [...section.querySelectorAll(".rows tbody tr")].map((row) => [
        row, plain([...row.cells].map((cell) => cell.textContent).join(" ")),
      ]),
      foot: section.querySelector("tfoot"),
      count: section.querySelector(".count"),
      all: section.querySelector(".count").textContent,
      none: section.querySelector(".none"),
      scroll: section.querySelector(".scroll"),
    }));
    const apply = () => {
      const wanted = plain(input.value).split(" ").filter(Boolean);
      let total = 0;
      for (const { rows, foot, count, all, none, scroll } of sections) {
        let shown = 0;
        for (const [row, text] of rows) {
          row.hidden = !wanted.every((word) => text.includes(word));
          shown += !row.hidden;
        }
        if (foot) foot.hidden = wanted.length > 0;
        count.textContent = wanted.length ? `${shown} of ${all}` : all;
        none.hidden = shown > 0;
        scroll.hidden = shown === 0;
        total += shown;
      }
      said.textContent = wanted.length ? `${total} ${total === 1 ? "row matches" : "rows match"}` : "";
    };
    input.addEventListener("input", apply);
    document.addEventListener("keydown", (event) => {
      const typing = event.target.matches("input, textarea, select");
      if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        input.focus();
        input.select();
      } else if (event.key === "Escape" && event.target === input) {
        input.value = "";
        apply();
      } else if (event.key === "Enter" && event.target === input) {
        sections.find(({ none }) => none.hidden)?.section.scrollIntoView();
      }
    });
    apply();
  }

  // The numbers at the pointer or at the arrow keys' position, read from the table of the chart.
  function readable(figure) {
    const matrix = figure.dataset.chart === "matrix";
    const heads = [...figure.querySelectorAll("thead th")].map((head) => head.textContent);
    const rows = [...figure.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
    const readout = figure.querySelector(".readout");
    const chart = figure.querySelector(".chart");
    const height = matrix ? heads.length - 1 : 1;
    const cursors = [...figure.querySelectorAll(".plot")].map((plot) => {
      const cursor = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      cursor.setAttribute("class", "cursor");
      cursor.setAttribute("width", `${100 / rows.length}%`);
      cursor.setAttribute("height", `${100 / height}%`);
      cursor.setAttribute("visibility", "hidden");
      plot.append(cursor);
      return cursor;
    });
    let at = null;

    const move = (column, level) => {
      at = [Math.min(Math.max(column, 0), rows.length - 1), Math.min(Math.max(level, 0), height - 1)];
      for (const cursor of cursors) {
        cursor.setAttribute("x", `${(100 * at[0]) / rows.length}%`);
        cursor.setAttribute("y", `${(100 * (height - 1 - at[1])) / height}%`);
        cursor.setAttribute("visibility", "visible");
      }
      const [first, ...rest] = rows[at[0]];
      readout.textContent = matrix
        ? `${first} · ${heads[at[1] + 1]} · ${rest[at[1]]} requests`
        : [first, ...rest.map((value, index) => `${heads[index + 1]} ${value}`)].join(" · ");
    };
    const leave = () => {
      at = null;
      readout.textContent = "";
      for (const cursor of cursors) cursor.setAttribute("visibility", "hidden");
    };

    for (const plot of figure.querySelectorAll(".plot")) {
      plot.addEventListener("pointermove", (event) => {
        const box = plot.getBoundingClientRect();
        const x = (event.clientX - box.left) / box.width;
        const y = (event.clientY - box.top) / box.height;
        move(Math.floor(x * rows.length), Math.floor((1 - y) * height));
      });
    }
    chart.addEventListener("pointerleave", leave);
    chart.addEventListener("blur", leave);
    chart.addEventListener("keydown", (event) => {
      const [column, level] = at ?? [-1, Math.floor(height / 2)];
      const goals = {
        ArrowLeft: [at ? column - 1 : rows.length - 1, level],
        ArrowRight: [column + 1, level],
        Home: [0, level],
        End: [rows.length - 1, level],
      };
      if (matrix) Object.assign(goals, { ArrowUp: [column, level + 1], ArrowDown: [column, level - 1] });
      if (event.key === "Escape") leave();
      const goal = goals[event.key];
      if (!goal) return;
      event.preventDefault();
      move(...goal);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    theme();
    document.querySelectorAll("table.rows").forEach(sortable);
    filterable();
    document.querySelectorAll("figure[data-chart]").forEach(readable);
  });
})();
