/* config_text: configurations as texts, called f.yaml, for tests. */
#ifndef HEADGATE_CONFIG_TEXT_H
#define HEADGATE_CONFIG_TEXT_H

#include "config.h"

/* Of a stream of the fake connector. */
#define SOURCE "    source: {fake: {brokers: b, topics: [t]}}\n"

/* config_text_load: it must be good. Owns: config_fini. */
void config_text_load(struct config *config, const char *text);

/* config_text_refused: its errors are expected. config_text_refused_for: one of them holds part. */
void config_text_refused(const char *text, const char *expected);
void config_text_refused_for(const char *text, const char *part);

/* config_text_print: what config_print writes. Owns: the caller frees it. */
char *config_text_print(const struct config *config);

/* config_text_file: a file with that content; the path is lent until the next one. Owns: unlink. */
char *config_text_file(const char *content);

#endif
