// All parts of a page's script stand in one function, in the order of page.py: no name of theirs is the page's.
// Everything shown is text (textContent) or a picture.
const make = (tag, text, name) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (name) node.className = name;
  return node;
};
const shown = (value, digits) => (value === null || value === undefined ? "—" : value.toFixed(digits).replace("-", "−"));
const draw = (tag, attributes, text) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
};
