/** Error codes of the install engine: store, hooks, generations, switch and rollback. */
import { errorsOf } from '@countersign/protocol';

export const engineErrorTable = {
  STORE_PREFIX_TAKEN: {
    meaning: 'Two different archives share the first 16 digits of their sha256, which names the folder in the store.',
    hint: 'this does not happen by chance: look at where the newer release comes from',
  },
  STORE_ARCHIVE_MISSING: {
    meaning: 'A generation needs an archive that is neither in the store nor handed over.',
    hint: 'run countersign-device check and install again, so that it is fetched',
  },
  STORE_DAMAGED: {
    meaning: 'Installed files are missing or are not what was approved and unpacked.',
    hint: 'look for disk faults or someone who edits the store; install the component again to replace the files',
  },
  COMPONENT_NOT_INSTALLED: {
    meaning: 'The component is not part of the running generation.',
    hint: 'see what is installed with countersign-device status',
  },
  COMPONENT_UNHEALTHY: {
    meaning: 'A component of the running generation does not start, is not healthy, or its files are damaged.',
    hint: 'look into the device logs for the output of its hooks; roll back or install it again',
  },
  HOOK_PATH: {
    meaning:
      "A hook names a program that is not an executable file of a verified base, its own or a required component's.",
    hint: "correct argv[0] of the hook in the component's component.json",
  },
  HOOK_NOT_STARTED: {
    meaning: 'The system refused to start the program of a hook.',
    hint: 'check that the program is built for this platform and that nothing blocks it, such as endpoint protection',
  },
  HOOK_FAILED: {
    meaning: 'The program of a hook ended with an exit code other than 0, or was killed.',
    hint: "see the hook's output in the device logs",
  },
  HOOK_DEADLINE: {
    meaning: 'The program of a hook did not end within its seconds and was killed with everything that it started.',
    hint: "see the hook's output in the device logs; the component may need more seconds in its component.json",
  },
  HEALTH_DEADLINE: {
    meaning: 'A component did not report itself healthy within the seconds of its health hook.',
    hint: "see the health hook's output in the device logs",
  },
  INSTALL_PLAN_STALE: {
    meaning: 'The plan starts from another generation than the one that runs.',
    hint: 'run countersign-device check for a new plan',
  },
  INSTALL_INPUT: {
    meaning: 'A defect of the program itself: what was handed to the installer does not match its plan.',
    hint: 'report it; nothing was changed',
  },
  INSTALL_NOTHING_LEFT: {
    meaning:
      'Every component of the approved plan needs a capability that was kept off, so nothing of it is installed.',
    hint: 'nothing was changed; wait for another release, or ask for the plan again and turn on what the component needs',
  },
  INSTALL_REFERENCE: {
    meaning: 'A component uses ${component:NAME} of one that it does not require or that would not be installed.',
    hint: "declare the other component under requires in the component's component.json",
  },
  INSTALL_LOOP: {
    meaning:
      'The same change was interrupted or restarted too often; the device stopped trying and keeps the old generation.',
    hint: 'look into the device logs for what interrupts it, then let a person start it again',
  },
  INSTALL_UNFINISHED: {
    meaning: 'A change that was interrupted is not finished yet.',
    hint: 'start the service, or run any changing command: it finishes or undoes the change first',
  },
  ROLLBACK_NOTHING: {
    meaning: 'There is no generation to go back to.',
    hint: 'only the generation before the running one is kept; after a rollback there is none',
  },
  CAPABILITY_NOT_GRANTED: {
    meaning: 'The capability to take back is not granted on this device.',
    hint: 'see countersign-device capability list',
  },
  APPROVAL_PLAN_UNKNOWN: {
    meaning: 'The device has no plan with that digest.',
    hint: 'see the current plan with countersign-device plan',
  },
} as const;

export const engineError = errorsOf(engineErrorTable);
