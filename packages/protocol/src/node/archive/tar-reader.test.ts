import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { rawTar } from '../../../../../test/support/hostile-tar.ts';
import { TarReader } from './tar-reader.ts';

/** A sink that records what it is told. */
function listener() {
  const heard: { path: string; content: string }[] = [];
  return {
    heard,
    begin: ({ path }: { path: string }) => void heard.push({ path, content: '' }),
    write: (chunk: Buffer, start: number, end: number) =>
      void (heard.at(-1)!.content += chunk.toString('latin1', start, end)),
    end: () => undefined,
  };
}

test('the sink never hears of a file beyond what is declared', () => {
  const tar = rawTar({ name: 'a', content: 'one' }, { name: 'b', content: 'two' });
  for (const declared of [
    { files: 1, unpacked: 6 },
    { files: 2, unpacked: 5 },
  ]) {
    const sink = listener();
    assert.throws(() => new TarReader(declared, sink).push(tar), { code: 'ARCHIVE_DECLARED' });
    assert.deepEqual(sink.heard, [{ path: 'a', content: 'one' }]);
  }
});

test('it does not matter how the bytes are cut into chunks', () => {
  const files = [
    { path: 'a', content: 'x'.repeat(1300) },
    { path: 'b/c', content: '' },
    { path: 'd', content: 'y'.repeat(512) },
  ];
  const tar = rawTar(...files.map(({ path, content }) => ({ name: path, content })));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }), (steps) => {
      const sink = listener();
      const reader = new TarReader({ files: 3, unpacked: 1812 }, sink);
      for (let at = 0, turn = 0; at < tar.length; turn++) {
        const step = steps[turn % steps.length]!;
        reader.push(tar.subarray(at, at + step));
        at += step;
      }
      reader.finish();
      assert.deepEqual(sink.heard, files);
    }),
    { numRuns: 200 },
  );
});

test('any changed header byte is refused or changes nothing that is read', () => {
  const tar = rawTar({ name: 'a', content: 'one' });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 511 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(tar);
      changed[at]! ^= change;
      const sink = listener();
      const reader = new TarReader({ files: 1, unpacked: 3 }, sink);
      try {
        reader.push(changed);
        reader.finish();
      } catch (error) {
        assert.match((error as { code?: string }).code ?? '', /^ARCHIVE_/);
        return;
      }
      assert.deepEqual(sink.heard, [{ path: 'a', content: 'one' }]);
    }),
    { numRuns: 2000 },
  );
});
