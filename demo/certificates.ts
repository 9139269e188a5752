/** Makes X.509 certificates for the stand-in authority, like those of a commercial CA (RFC 5280). */
import { createHash, generateKeyPairSync, randomBytes, webcrypto, X509Certificate, type KeyObject } from 'node:crypto';
import * as asn1 from 'asn1js';
import * as pkijs from 'pkijs';

export interface Issued {
  readonly key: KeyObject;
  readonly certificate: pkijs.Certificate;
  readonly der: Buffer;
  readonly pem: string;
}

export interface CertificateRequest {
  /** By short name; a list repeats an attribute. */
  readonly subject: Readonly<Record<string, string | readonly string[]>>;
  /** Absent: self-signed. */
  readonly issuer?: Issued;
  readonly ca?: boolean;
  /** Extended key usages by OID; `critical` as RFC 3161 requires for time-stamping. */
  readonly usages?: { readonly oids: readonly string[]; readonly critical: boolean };
  /** Bits of an RSA key; absent: P-256. */
  readonly rsaBits?: number;
  /** Digital signature by default. */
  readonly keyUsageBits?: number;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly more?: readonly pkijs.Extension[];
}

export const oids = {
  codeSigning: '1.3.6.1.5.5.7.3.3',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;
const attributeOids: Record<string, string> = { C: '2.5.4.6', O: '2.5.4.10', OU: '2.5.4.11', CN: '2.5.4.3' };
const digitalSignature = 0x80;
const certificateSigning = 0x06;
const year = 365 * 86_400_000;

export const toPem = (der: Uint8Array, label: string): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

/** The key as WebCrypto holds it, for pkijs; an RSA key is bound to one digest. */
export const cryptoKey = (key: KeyObject, hash = 'SHA-256'): Promise<webcrypto.CryptoKey> =>
  webcrypto.subtle.importKey(
    'pkcs8',
    key.export({ type: 'pkcs8', format: 'der' }),
    key.asymmetricKeyType === 'rsa' ? { name: 'RSASSA-PKCS1-v1_5', hash } : { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  );

/** Makes a key and its certificate. */
export async function issue(request: CertificateRequest): Promise<Issued> {
  const pair = request.rsaBits
    ? generateKeyPairSync('rsa', { modulusLength: request.rsaBits })
    : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  certificate.serialNumber = new asn1.Integer({ valueHex: new Uint8Array(serial).buffer });
  certificate.subject = nameOf(request.subject);
  certificate.issuer = request.issuer ? request.issuer.certificate.subject : nameOf(request.subject);
  certificate.notBefore.value = request.notBefore ?? wholeSecond(Date.now() - 86_400_000);
  certificate.notAfter.value = request.notAfter ?? wholeSecond(Date.now() + (request.ca ? 10 : 1) * year);
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(new Uint8Array(spki).buffer);
  certificate.extensions = extensionsOf(request, spki);
  const signer = request.issuer?.key ?? pair.privateKey;
  await certificate.sign(await cryptoKey(signer), 'SHA-256');
  const der = Buffer.from(certificate.toSchema(true).toBER(false));
  return { key: pair.privateKey, certificate, der, pem: toPem(der, 'CERTIFICATE') };
}

/** A certificate's issuer as Countersign's chains name it. */
export const issuerText = (certificate: Issued): string => new X509Certificate(certificate.der).issuer;

export const wholeSecond = (milliseconds: number): Date => new Date(Math.floor(milliseconds / 1000) * 1000);

/** One attribute per set, in order, as CAs write names; pkijs alone would put all into one set. */
function nameOf(attributes: CertificateRequest['subject']): pkijs.RelativeDistinguishedNames {
  const sets = Object.entries(attributes).flatMap(([name, values]) =>
    [values].flat().map((value: string) => {
      const type = new asn1.ObjectIdentifier({ value: attributeOids[name]! });
      const text = name === 'C' ? new asn1.PrintableString({ value }) : new asn1.Utf8String({ value });
      return new asn1.Set({ value: [new asn1.Sequence({ value: [type, text] })] });
    }),
  );
  return pkijs.RelativeDistinguishedNames.fromBER(new asn1.Sequence({ value: sets }).toBER());
}

function extensionsOf(request: CertificateRequest, spki: Buffer): pkijs.Extension[] {
  const extension = (id: string, critical: boolean, value: { toBER(): ArrayBuffer }): pkijs.Extension =>
    new pkijs.Extension({ extnID: id, critical, extnValue: value.toBER() });
  const bits = request.keyUsageBits ?? (request.ca ? certificateSigning | digitalSignature : digitalSignature);
  const identifier = createHash('sha1').update(spki).digest();
  const extensions = [
    extension('2.5.29.19', true, new pkijs.BasicConstraints({ cA: request.ca === true }).toSchema()),
    extension(
      '2.5.29.15',
      true,
      new asn1.BitString({ valueHex: new Uint8Array([bits]).buffer, unusedBits: trailingZeros(bits) }),
    ),
    extension('2.5.29.14', false, new asn1.OctetString({ valueHex: new Uint8Array(identifier).buffer })),
  ];
  if (request.usages)
    extensions.push(
      extension(
        '2.5.29.37',
        request.usages.critical,
        new pkijs.ExtKeyUsage({ keyPurposes: [...request.usages.oids] }).toSchema(),
      ),
    );
  return [...extensions, ...(request.more ?? [])];
}

/** DER of a named bit string drops trailing zero bits (X.690 §11.2.2). */
const trailingZeros = (byte: number): number => (byte === 0 ? 0 : 31 - Math.clz32(byte & -byte));
