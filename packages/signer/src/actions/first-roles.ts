/** The roles that `init` asks keys for, and how many of them usually must sign. It imports nothing: the declaration of `init` needs it too. */
export const fixedRoles = ['root', 'targets', 'authority', 'revocations', 'channels'] as const;
export const usualThresholds = { root: '2', targets: '2', authority: '2', revocations: '1', channels: '2' } as const;
