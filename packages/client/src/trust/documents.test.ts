import assert from 'node:assert/strict';
import { test } from 'node:test';
import { channelPath } from '@countersign/protocol';
import { PublishedRepository } from '../../../../test/support/published-repository.ts';
import { repositoryDevice } from '../../../../test/support/repository-device.ts';
import { readDocument } from './documents.ts';

test('a document is exactly what is listed, within its bound, and is kept by its digest', async (t) => {
  const repository = new PublishedRepository();
  repository.publish();
  const { device, poll } = await repositoryDevice(t, repository);
  const view = await poll();
  const path = channelPath('stable');
  const read = (maximum = 1 << 20) => readDocument(device, view, path, maximum);
  const { bytes } = await read();
  assert.equal((JSON.parse(bytes.toString()) as { channel: string }).channel, 'stable');
  // The poll kept it, so what the server has now does not matter.
  const name = [...repository.files.keys()].find((file) => file.endsWith('.stable.json'))!;
  repository.files.delete(name);
  assert.deepEqual((await read()).bytes, bytes);
  device.database.exec('DELETE FROM document');
  const refused = (message: RegExp, maximum?: number) =>
    assert.rejects(read(maximum), { code: 'TRUST_DOCUMENT', message });
  await refused(/the server answers 404/);
  repository.files.set(name, Buffer.concat([bytes, Buffer.from(' ')]));
  await refused(/more than the \d+ bytes that are listed/);
  repository.files.set(name, Buffer.alloc(bytes.length, 0x20));
  await refused(/is not the file that is listed/);
  repository.files.set(name, bytes);
  await refused(/bytes, allowed are 10/, 10);
  assert.deepEqual((await read()).bytes, bytes);
  await assert.rejects(readDocument(device, view, 'channels/other.json', 1 << 20), {
    code: 'TRUST_DOCUMENT',
    message: /does not list/,
  });
});
