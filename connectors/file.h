/* file: files as streams. */
#ifndef HEADGATE_FILE_H
#define HEADGATE_FILE_H

#include "connector.h"
#include "file_settings.h"

extern const struct connector file_connector;

#endif
