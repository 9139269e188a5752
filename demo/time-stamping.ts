/** Runs an RFC 3161 time-stamping authority over HTTP on loopback: the demo's and the tests' stand-in for a commercial one. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as asn1 from 'asn1js';
import * as pkijs from 'pkijs';
import { cryptoKey, wholeSecond, type Issued } from './certificates.ts';

const oid = {
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  timeStampToken: '1.2.840.113549.1.9.16.1.4',
  signedData: '1.2.840.113549.1.7.2',
  policy: '1.3.6.1.4.1.57264.99.1',
} as const;
const maximumRequest = 4096;

export interface TimeStamper {
  readonly url: string;
  close(): Promise<void>;
}

export interface TimeStampOptions {
  readonly signer: Issued;
  /** Sent along when the request asks for certificates. */
  readonly chain: readonly Issued[];
  readonly digest?: 'SHA-256' | 'SHA-384' | 'SHA-512';
  readonly clock?: () => Date;
  /** PKIStatus; 0 grants. */
  readonly status?: number;
}

/** Serves timestamps until closed. */
export async function startTimeStamping(options: TimeStampOptions): Promise<TimeStamper> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maximumRequest) request.destroy();
      else chunks.push(chunk);
    });
    request.on('end', () => {
      stamp(Buffer.concat(chunks), options).then(
        (reply) =>
          response
            .writeHead(200, { 'content-type': 'application/timestamp-reply', 'content-length': reply.length })
            .end(reply),
        () => response.writeHead(400).end(),
      );
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => closeServer(server) };
}

const closeServer = (server: Server): Promise<void> =>
  new Promise((closed) => {
    server.close(() => closed());
    server.closeAllConnections();
  });

/** The reply to one request (RFC 3161 §2.4.2). */
async function stamp(
  query: Buffer,
  { signer, chain, digest = 'SHA-256', clock = () => new Date(), status = 0 }: TimeStampOptions,
): Promise<Buffer> {
  const request = pkijs.TimeStampReq.fromBER(new Uint8Array(query).buffer);
  const serial = randomBytes(8);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  const info = new pkijs.TSTInfo({
    version: 1,
    policy: oid.policy,
    messageImprint: request.messageImprint,
    serialNumber: new asn1.Integer({ valueHex: new Uint8Array(serial).buffer }),
    genTime: wholeSecond(clock().getTime()),
    ...(request.nonce ? { nonce: request.nonce } : {}),
  });
  const content = info.toSchema().toBER(false);
  const attribute = (type: string, value: asn1.BaseBlock): pkijs.Attribute =>
    new pkijs.Attribute({ type, values: [value] });
  const certificateHash = createHash('sha256').update(signer.der).digest();
  const attributes = [
    attribute(oid.contentType, new asn1.ObjectIdentifier({ value: oid.timeStampToken })),
    attribute(
      oid.messageDigest,
      new asn1.OctetString({
        valueHex: new Uint8Array(createHash(digest.replace('-', '')).update(Buffer.from(content)).digest()).buffer,
      }),
    ),
    // RFC 5816: which certificate signed, by its sha256.
    attribute(
      oid.signingCertificateV2,
      new asn1.Sequence({
        value: [
          new asn1.Sequence({
            value: [
              new asn1.Sequence({
                value: [new asn1.OctetString({ valueHex: new Uint8Array(certificateHash).buffer })],
              }),
            ],
          }),
        ],
      }),
    ),
  ].sort((a, b) => Buffer.compare(Buffer.from(a.toSchema().toBER()), Buffer.from(b.toSchema().toBER())));
  const encapsulated = new pkijs.EncapsulatedContentInfo({ eContentType: oid.timeStampToken });
  // Set afterwards: pkijs would make it a constructed string, which DER forbids (X.690 §10.2).
  encapsulated.eContent = new asn1.OctetString({ valueHex: content });
  const signed = new pkijs.SignedData({
    version: 3,
    encapContentInfo: encapsulated,
    signerInfos: [
      new pkijs.SignerInfo({
        version: 1,
        sid: new pkijs.IssuerAndSerialNumber({
          issuer: signer.certificate.issuer,
          serialNumber: signer.certificate.serialNumber,
        }),
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes }),
      }),
    ],
    certificates: request.certReq ? [signer, ...chain].map(({ certificate }) => certificate) : [],
  });
  await signed.sign(await cryptoKey(signer.key, digest), 0, digest);
  const token = new pkijs.ContentInfo({ contentType: oid.signedData, content: signed.toSchema(true) });
  const reply = new pkijs.TimeStampResp({
    status: new pkijs.PKIStatusInfo({ status: status as pkijs.PKIStatus }),
    ...(status <= 1 ? { timeStampToken: token } : {}),
  });
  return Buffer.from(reply.toSchema().toBER(false));
}
