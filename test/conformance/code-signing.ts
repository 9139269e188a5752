/**
 * Judges one Sigstore bundle of any kind through the product's own verdict code:
 *
 *   code-signing BUNDLE (--artifact FILE | --digest sha256:HEX) --trusted-root FILE (--san S --issuer I | --key FILE)
 *
 * Exit 0: it is accepted. 1: it is refused, with its code. 2: wrong usage.
 */
import { createHash, createPublicKey, publicDecrypt, verify, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { p256, p384, p521 } from '@noble/curves/nist.js';
import {
  codesignError,
  CountersignError,
  judgeBundle,
  parseJson,
  type ExpectedSigner,
  type SignedArtifact,
} from '@countersign/protocol';
import { exitCode, printError } from '@countersign/protocol/terminal';

const maximumFile = 16 << 20;
const fail = (message: string): Error =>
  new CountersignError('USAGE', message, 'see the head of test/conformance/code-signing.ts');

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw new CountersignError('USAGE', `${file} cannot be read`, 'name a file that is there', { cause });
  }
}

function wholeArtifact(bytes: Buffer): SignedArtifact {
  const digest = (name: string): string => createHash(name).update(bytes).digest('hex');
  return {
    digests: { sha256: digest('sha256'), sha384: digest('sha384'), sha512: digest('sha512') },
    verify: (algorithm, key, signature) =>
      verify(key.asymmetricKeyType === 'ed25519' ? null : algorithm, bytes, key, signature),
  };
}

/** An artifact of which only the digest is known; enough for ECDSA and RSA, which sign a digest. */
function digestedArtifact(text: string): SignedArtifact {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(text)?.[1];
  if (hex === undefined) throw fail('--digest is sha256: and 64 hexadecimal digits');
  return {
    digests: { sha256: hex },
    verify: (algorithm, key, signature) =>
      algorithm === 'sha256' && verifyDigest(key, Buffer.from(hex, 'hex'), signature),
  };
}

const curves = { prime256v1: p256, secp384r1: p384, secp521r1: p521 } as const;
/** DER of a DigestInfo with SHA-256, up to the digest (RFC 8017 §9.2). */
const digestInfo = Buffer.from('3031300d060960864801650304020105000420', 'hex');

function verifyDigest(key: KeyObject, digest: Buffer, signature: Buffer): boolean {
  if (key.asymmetricKeyType === 'rsa') return publicDecrypt(key, signature).equals(Buffer.concat([digestInfo, digest]));
  const curve = curves[key.asymmetricKeyDetails?.namedCurve as keyof typeof curves] as typeof p256 | undefined;
  if (!curve) return false;
  const { x, y } = key.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url')]);
  return curve.verify(signature, digest, point, { prehash: false, format: 'der', lowS: false });
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      artifact: { type: 'string' },
      digest: { type: 'string' },
      'trusted-root': { type: 'string' },
      san: { type: 'string' },
      issuer: { type: 'string' },
      key: { type: 'string' },
    },
  });
  const [bundle, ...more] = positionals;
  if (bundle === undefined || more.length > 0) throw fail('one bundle is expected');
  if ((values.artifact === undefined) === (values.digest === undefined))
    throw fail('--artifact or --digest is expected');
  if (values['trusted-root'] === undefined) throw fail('--trusted-root is expected');
  const signer = signerOf(values);
  const artifact =
    values.artifact === undefined ? digestedArtifact(values.digest!) : wholeArtifact(readFile(values.artifact));
  const json = (file: string): unknown => {
    try {
      return parseJson(readFile(file), file, maximumFile);
    } catch (cause) {
      throw codesignError('CODESIGN_BUNDLE', `${file} is no JSON`, { cause });
    }
  };
  judgeBundle(json(bundle), artifact, json(values['trusted-root']), signer);
}

function signerOf({ san, issuer, key }: { san?: string; issuer?: string; key?: string }): ExpectedSigner {
  if (key !== undefined && san === undefined && issuer === undefined) return { key: createPublicKey(readFile(key)) };
  if (key !== undefined || san === undefined || issuer === undefined)
    throw fail('--san and --issuer, or --key, are expected');
  return { san, issuer };
}

try {
  main();
} catch (error) {
  const coded =
    (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS') === true ? fail((error as Error).message) : error;
  printError(coded);
  process.exitCode = exitCode(coded);
}
