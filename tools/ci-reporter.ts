/** CI's reporter: failures in full, one line per file, the sum at the end; a skipped or todo test counts as failed. */
import type { TestEvent } from 'node:test/reporters';

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let passed = 0;
  let failed = 0;
  for await (const event of source) {
    if (event.type === 'test:pass') {
      const { name, details, skip, todo, file } = event.data;
      if (skip !== undefined || todo !== undefined) {
        failed++;
        process.exitCode = 1;
        yield `SKIPPED (a failure in CI): ${name} ${String(skip ?? todo)} ${file ?? ''}\n`;
      } else if (details.type !== 'suite') passed++;
    } else if (event.type === 'test:fail') {
      const { name, details, file } = event.data;
      if (details.type === 'suite' && details.error.cause === undefined) continue;
      failed++;
      yield `FAILED: ${name} (${file ?? ''})\n${String(details.error.cause instanceof Error ? details.error.cause.stack : (details.error.stack ?? details.error))}\n`;
    } else if (event.type === 'test:stderr') yield event.data.message;
  }
  yield `${passed} passed, ${failed} failed\n`;
}
