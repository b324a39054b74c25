// Web addresses in a text.

const ADDRESS = /https?:\/\/[^\s<>"]+/g;
const CLOSING = { ')': '(', ']': '[', '}': '{' };
const PUNCTUATION = /[.,;:!?'*…’”»。，、！？：；）】》」』]$/;

// links splits a text into strings and web addresses, which are { href }. Punctuation
// behind an address is not part of it, nor is a bracket that was opened before it.
export function links(text) {
  const parts = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(ADDRESS)) {
    const href = trimmed(match);
    if (!URL.canParse(href)) continue;
    if (index > end) parts.push(text.slice(end, index));
    parts.push({ href });
    end = index + href.length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}

function trimmed(address) {
  let end = address.length;
  for (const open = unopened(address); end > 0; end--) {
    const last = address[end - 1];
    if (!open.has(end - 1) && !PUNCTUATION.test(last)) break;
  }
  return address.slice(0, end);
}

// unopened returns where closing brackets are that are not opened in the text.
function unopened(text) {
  const found = new Set();
  const depth = { '(': 0, '[': 0, '{': 0 };
  for (let i = 0; i < text.length; i++) {
    const open = CLOSING[text[i]];
    if (text[i] in depth) depth[text[i]]++;
    else if (open && depth[open] > 0) depth[open]--;
    else if (open) found.add(i);
  }
  return found;
}
