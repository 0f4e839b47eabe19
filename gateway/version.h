/* version: what this binary is. The build passes both texts to version.o alone, so that a new
 * commit recompiles one file. Thread  any: constants. */
#ifndef HEADGATE_VERSION_H
#define HEADGATE_VERSION_H

extern const char version_text[]; /* "0.1.0": semantic versioning */
extern const char
    version_commit[]; /* an abbreviated commit, "-dirty" after it; "unknown" outside of git */

#endif
