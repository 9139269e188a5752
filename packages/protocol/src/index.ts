/** The pure entry: what the three programs say to each other, and how each of them judges it. */
export * from './canonical-json.ts';
export * from './error.ts';
export * from './format-errors.ts';
export * from './olpc-json.ts';
export * from './public-key.ts';
export * from './schema.ts';
export * from './text.ts';
export * from './release/archive-errors.ts';
export * from './release/archive-policy.ts';
export * from './release/authority.ts';
export * from './release/channel.ts';
export * from './release/dsse.ts';
export * from './release/manifest.ts';
export * from './release/revocations.ts';
export * from './release/statement.ts';
export * from './consent/approval.ts';
export * from './consent/plan.ts';
