/**
 * Fetches a small signed document over HTTP into memory: never more bytes than trusted metadata lists, and exactly those. Devices
 * and `countersign verify` both use this function, so they give the same code.
 */
import { checkDocumentBytes, documentError } from '../../release/listed-document.ts';
import type { TargetFile } from '../../tuf/targets.ts';
import { withResponse, type HttpLimits } from './http-response.ts';

/** @throws TRUST_DOCUMENT (not there, longer than listed, or other bytes) SOURCE_* */
export async function fetchDocument(url: URL, target: TargetFile, limits: HttpLimits = {}): Promise<Buffer> {
  return withResponse(url, {}, limits, async ({ statusCode, body }) => {
    const wrong = (what: string): Error => documentError(target.path, what);
    if (statusCode !== 200) throw wrong(`is listed, the server answers ${statusCode}`);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > target.length) throw wrong(`has more than the ${target.length} bytes that are listed`);
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks, length);
    checkDocumentBytes(target, bytes);
    return bytes;
  });
}
