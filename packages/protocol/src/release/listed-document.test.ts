import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sha256 } from '../text.ts';
import { checkDocumentBytes, checkDocumentListed } from './listed-document.ts';

const bytes = Buffer.from('{}');
const target = { path: 'channels/stable.json', length: 2, sha256: sha256(bytes), hashes: { sha256: sha256(bytes) } };

test('a document is listed, small enough, and exactly what is listed', () => {
  assert.equal(checkDocumentListed(target.path, target, 2), target);
  checkDocumentBytes(target, bytes);
  const refused = (message: RegExp) => ({ code: 'TRUST_DOCUMENT', message });
  assert.throws(() => checkDocumentListed(target.path, null, 2), refused(/does not list channels\/stable\.json/));
  assert.throws(() => checkDocumentListed(target.path, target, 1), refused(/has 2 bytes, allowed are 1/));
  for (const other of ['{', '{} ', '[]'])
    assert.throws(() => checkDocumentBytes(target, Buffer.from(other)), refused(/is not the file that is listed/));
});
