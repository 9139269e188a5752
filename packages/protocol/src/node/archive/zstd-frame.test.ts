import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constants } from 'node:zlib';
import { skippableFrame, zstd } from '../../../../../test/support/hostile-tar.ts';
import { ZstdFrame } from './zstd-frame.ts';

const follow = (bytes: Buffer, step = bytes.length): void => {
  const frame = new ZstdFrame();
  for (let at = 0; at < bytes.length; at += step) frame.push(bytes.subarray(at, at + step));
  frame.finish();
};
const damaged = { code: 'ARCHIVE_DAMAGED' };
const random = Buffer.from(Array.from({ length: 140_000 }, (_, index) => (index * index * 31) >> 7));

test('follows frames of every form, however the bytes are cut', () => {
  for (const content of [
    Buffer.alloc(0),
    Buffer.from('short'),
    Buffer.alloc(400),
    Buffer.alloc(70_000),
    random,
    Buffer.alloc(1 << 20),
  ])
    for (const parameters of [
      {},
      { [constants.ZSTD_c_checksumFlag]: 0 },
      { [constants.ZSTD_c_contentSizeFlag]: 0 },
      { [constants.ZSTD_c_compressionLevel]: 19 },
    ])
      for (const step of [1, 7, 4096, 1 << 24]) follow(zstd(content, parameters), step);
});

test('knows by itself that a frame is cut short', () => {
  const bytes = zstd(random);
  for (const length of [0, 1, 3, 4, 5, 6, 8, 100, bytes.length - 5, bytes.length - 1])
    assert.throws(() => follow(bytes.subarray(0, length)), damaged, `${length}`);
});

test('knows by itself what is no frame, or more than one', () => {
  const bytes = zstd(random);
  for (const hostile of [
    Buffer.from('\u001f\u008b\b\u0000\u0000\u0000', 'latin1'),
    Buffer.concat([Buffer.from([0x29]), bytes.subarray(1)]),
    skippableFrame(bytes),
    Buffer.concat([bytes, bytes]),
    Buffer.concat([bytes, skippableFrame(Buffer.alloc(0))]),
    Buffer.concat([bytes, Buffer.alloc(1)]),
  ])
    for (const step of [1, 1 << 24]) assert.throws(() => follow(hostile, step), damaged);
});
