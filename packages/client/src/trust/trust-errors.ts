/** Error codes of trust and download on the device: servers, clock, refresh, what is offered, the two verifiers, archives. */
import { errorsOf } from '@countersign/protocol';

export const trustErrorTable = {
  TRUST_SERVER: {
    meaning: 'A configured server address is not one that a device may use.',
    hint: 'use an https address; plain http only reaches 127.0.0.1, localhost or [::1], for trials',
  },
  TRUST_HOST: {
    meaning: 'A host is not on the list that this device was set up with, or not in its region by the vendor’s policy.',
    hint: 'check the server address and the region of this device; the list is set at init and only the vendor widens a region',
  },
  CLOCK_BEHIND: {
    meaning: 'The system clock is behind the time that the vendor’s metadata proves.',
    hint: 'set the clock of this PC; until then the proven time is used',
  },
  CLOCK_AHEAD: {
    meaning: 'Metadata looks expired, and the server’s clock differs from this PC’s by more than a day.',
    hint: 'set the clock of this PC, then check again',
  },
  INSTALLED_BLOCKED: {
    meaning: 'Alert: the vendor stopped new installs of a version that runs here.',
    hint: 'see what the message says; it keeps running until another version or its removal is approved',
  },
  INSTALLED_REVOKED: {
    meaning: 'Alert: the vendor revoked a release that runs here, or it is below the minimum version.',
    hint: 'approve the next version, or its removal, soon',
  },
  PLAN_CHANGED: {
    meaning: 'What would be installed is no longer what was approved.',
    hint: 'look at the new plan and approve it if it is right',
  },
  PLAN_LAPSED: {
    meaning: 'The approval is older than 14 days.',
    hint: 'approve the plan again',
  },
  PLAN_NOT_READY: {
    meaning: 'The plan is not in the state that this step needs.',
    hint: 'see countersign-device status',
  },
  ROLLBACK_DENIED: {
    meaning: 'The older generation has a component that needs a capability which is now denied here.',
    hint: 'update that component instead, or ask the person who denied the capability',
  },
  DOWNLOAD_SPACE: {
    meaning: 'The disk has less free space than the download and its unpacked files need.',
    hint: 'free the space that the message names, then install again; what was downloaded is kept',
  },
} as const;

export const trustError = errorsOf(trustErrorTable);
