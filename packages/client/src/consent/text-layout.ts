/** Lays out the texts of releases on a terminal: joins hard-wrapped lines into paragraphs and wraps them at the screen's width. */
import { escapeText } from '@countersign/protocol';

const item = /^\s*(?:[-*]|\d{1,3}\.)\s+/;

/**
 * One escaped line for each paragraph, list item and heading of a text in light Markdown, with `by` before each. A line continues
 * the one before unless a blank line, a heading or the mark of a list item separates them.
 */
export function paragraphs(text: string, by = ''): string[] {
  const lines: string[] = [];
  let open = false;
  for (const line of text.trim().split(/\r?\n/)) {
    const words = line.trim();
    const heading = /^#{1,6}\s/.test(words);
    if (open && words !== '' && !heading && !item.test(line)) lines.push(`${lines.pop()!} ${escapeText(words)}`);
    else lines.push(words === '' ? '' : `${by}${item.test(line) ? escapeText(line.trimEnd()) : escapeText(words)}`);
    open = words !== '' && !heading;
  }
  return lines;
}

/** Breaks lines between words; a continuation is indented like the text of its line, after the mark of a list item. */
export function wrap(lines: readonly string[], width: number): string[] {
  return lines.flatMap((line) => {
    const lead = /^\s*(?:(?:[-*?]|\d{1,3}\.)\s+)?/.exec(line)![0];
    const hanging = ' '.repeat(lead.length);
    const broken: string[] = [];
    let current = lead;
    let empty = true;
    for (const word of line.slice(lead.length).split(' ')) {
      if (!empty && columns(current) + 1 + columns(word) > width) {
        broken.push(current);
        current = hanging;
        empty = true;
      }
      current += empty ? word : ` ${word}`;
      empty = false;
    }
    return [...broken, current];
  });
}

/** Columns on a terminal: characters of East Asian scripts take two (UAX #11, the wide blocks). */
const columns = (text: string): number =>
  text.length +
  (text.match(/[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60]/g)?.length ?? 0);
