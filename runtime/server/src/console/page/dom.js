// Elements, made without markup: whatever a text contains, it stays a text.

const SVG = "http://www.w3.org/2000/svg";

// The element that the page is known to have.
export const byId = (id) => document.getElementById(id);

// An element with properties (`class`, `text`, `on`, `data`, attributes) and children; what is null is left out.
export const element = (name, properties = {}, ...children) => fill(document.createElement(name), properties, children);

// The same for drawings.
export const shape = (name, properties = {}, ...children) =>
  fill(document.createElementNS(SVG, name), properties, children);

const fill = (made, properties, children) => {
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") made.textContent = value;
    else if (key === "on") Object.entries(value).forEach(([event, handler]) => made.addEventListener(event, handler));
    else if (key === "data") Object.assign(made.dataset, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
};

// Sets a text only where it differs, so that screen readers and selections are left alone.
export const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};
