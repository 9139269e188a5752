/** Makes text from elsewhere safe to show. It is a separate module because threads that start often load it without the schemas. */

/** C0 and C1 controls (tab and newline apart), bidirectional overrides and isolates, invisible and tag characters. */
const unsafe =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/u;

/** Whether a text may be part of a component (manifest, notes, terms). */
export const isSafeText = (text: string): boolean => text.isWellFormed() && !unsafe.test(text);

/** A text from elsewhere for one line of a terminal or log: unsafe characters, tabs and newlines become `\u{…}`. */
export function escapeText(text: string, maximumLength = 2000): string {
  let escaped = '';
  for (const character of text.toWellFormed()) {
    escaped +=
      unsafe.test(character) || character === '\n' || character === '\t'
        ? `\\u{${character.codePointAt(0)!.toString(16)}}`
        : character;
    if (escaped.length > maximumLength) return `${escaped.slice(0, maximumLength)}…`;
  }
  return escaped;
}
