/* The version and the commit, from the build. */
#include "version.h"

const char version_text[] = HEADGATE_VERSION;
const char version_commit[] = HEADGATE_COMMIT;
