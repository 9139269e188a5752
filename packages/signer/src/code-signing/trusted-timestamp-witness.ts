/**
 * Gets RFC 3161 timestamps over HTTP from commercial authorities, as a witness for Sigstore's bundle builder. It checks only that
 * the answer repeats our nonce and digest. The verdict judges its signature later, before publication.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as asn1 from 'asn1js';
import * as pkijs from 'pkijs';
import type { Witness } from '@sigstore/sign';
import { codeOf, escapeText } from '@countersign/protocol';
import { undici } from '@countersign/protocol/node';
import { codeSigningError } from './code-signing-errors.ts';

const sha256Oid = '2.16.840.1.101.3.4.2.1';
const maximumReply = 64 * 1024;
const timeoutMilliseconds = 30_000;

/** A witness that asks the authority at `url` for a timestamp over the signature. */
export function trustedTimestampWitness(url: string): Witness {
  return {
    async testify(content) {
      const signature =
        content.$case === 'dsseEnvelope' ? content.dsseEnvelope.signatures[0]!.sig : content.messageSignature.signature;
      return { rfc3161Timestamps: [{ signedTimestamp: await fetchTimestamp(url, signature) }] };
    },
  };
}

/** The authority's whole reply. @throws SIGN_TIMESTAMP */
async function fetchTimestamp(url: string, signature: Uint8Array): Promise<Buffer> {
  const wrong = (what: string, cause?: unknown): Error =>
    codeSigningError('SIGN_TIMESTAMP', `asking ${escapeText(url, 200)} for a timestamp: ${what}`, { cause });
  const imprint = createHash('sha256').update(signature).digest();
  const nonce = randomBytes(16);
  // A positive INTEGER in its shortest form, so that the echo compares byte by byte.
  nonce[0] = (nonce[0]! & 0x7f) | 0x40;
  const query = new pkijs.TimeStampReq({
    version: 1,
    messageImprint: new pkijs.MessageImprint({
      hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: sha256Oid, algorithmParams: new asn1.Null() }),
      hashedMessage: new asn1.OctetString({ valueHex: new Uint8Array(imprint).buffer }),
    }),
    nonce: new asn1.Integer({ valueHex: new Uint8Array(nonce).buffer }),
    certReq: true,
  });
  const reply = await post(url, Buffer.from(query.toSchema().toBER(false)), wrong);
  let info: pkijs.TSTInfo;
  let status: number;
  try {
    const response = pkijs.TimeStampResp.fromBER(new Uint8Array(reply).buffer);
    status = response.status.status;
    if (status > 1) throw wrong(`it answered status ${status}`);
    const signed = new pkijs.SignedData({ schema: response.timeStampToken!.content });
    info = pkijs.TSTInfo.fromBER(signed.encapContentInfo.eContent!.getValue());
  } catch (cause) {
    if (codeOf(cause) === 'SIGN_TIMESTAMP') throw cause;
    throw wrong('its answer is no timestamp', cause);
  }
  // RFC 3161 §2.4.2: the answer repeats the nonce and the imprint.
  if (!info.nonce || !nonce.equals(Buffer.from(info.nonce.valueBlock.valueHexView)))
    throw wrong('it answered another request');
  if (!imprint.equals(Buffer.from(info.messageImprint.hashedMessage.valueBlock.valueHexView)))
    throw wrong('it stamped something else');
  return reply;
}

async function post(url: string, body: Buffer, wrong: (what: string, cause?: unknown) => Error): Promise<Buffer> {
  try {
    const response = await undici().request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/timestamp-query', accept: 'application/timestamp-reply' },
      body,
      headersTimeout: timeoutMilliseconds,
      bodyTimeout: timeoutMilliseconds,
      signal: AbortSignal.timeout(timeoutMilliseconds),
    });
    if (response.statusCode !== 200) {
      await response.body.dump({ limit: maximumReply });
      throw wrong(`it answered HTTP ${response.statusCode}`);
    }
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maximumReply) throw wrong(`its answer is larger than ${maximumReply} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (cause) {
    if (codeOf(cause) === 'SIGN_TIMESTAMP') throw cause;
    throw wrong(codeOf(cause) ?? 'no answer', cause);
  }
}
