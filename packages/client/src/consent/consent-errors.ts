/** Error codes of consent on the device: accounts and their passwords, approvals. */
import { errorsOf } from '@countersign/protocol';

export const consentErrorTable = {
  ACCOUNT_NAME: {
    meaning: 'An account name or printed name is not in the allowed form.',
    hint: 'use 1 to 63 lower-case letters, digits, dot, dash or underscore for the account and 1 to 80 plain characters for the printed name',
  },
  ACCOUNT_EXISTS: {
    meaning: 'An account of that name is already on this device.',
    hint: 'choose another name; an account is never replaced',
  },
  ACCOUNT_PASSWORD_SHORT: {
    meaning: 'The new password has fewer than 8 characters.',
    hint: 'choose a longer password; a few unrelated words are good',
  },
  ACCOUNT_REFUSED: {
    meaning: 'The account does not exist or the password is wrong.',
    hint: 'check the account name and the password; each wrong password makes the next try wait longer',
  },
  ACCOUNT_LOCKED: {
    meaning: 'After wrong passwords the account waits before it may be tried again.',
    hint: 'wait until the time in the message; the wait doubles with each wrong password',
  },
  APPROVAL_PLAN_STATE: {
    meaning: 'The plan is no longer, or not yet, open for that answer.',
    hint: 'see its state with countersign-device status; a void plan was replaced by another',
  },
  APPROVAL_RECORD: {
    meaning: 'An approval record does not fit its plan, its accounts, this device or its signature.',
    hint: 'answer every capability and all terms that the plan asks, and nothing else, then sign again',
  },
  APPROVAL_RECORD_DIFFERS: {
    meaning: 'The second person answered something else than the first person signed.',
    hint: 'both sign the same record: give the same decisions, or decline and start again',
  },
  APPROVAL_SAME_PERSON: {
    meaning: 'This account already signed the record; the second signature must be of another person.',
    hint: 'let another person sign in with their own account',
  },
} as const;

export const consentError = errorsOf(consentErrorTable);
