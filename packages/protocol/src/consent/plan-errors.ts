/** Error codes for plans. */
import { errorsOf } from '../error.ts';

export const planErrorTable = {
  PLAN_TOO_COMPLEX: {
    meaning: 'The offers depend on each other in more ways than a plan may try.',
    hint: 'offer fewer versions at once in the channel',
  },
} as const;

export const planError = errorsOf(planErrorTable);
