# Headgate: the one build file. `make help` lists the targets.
# Variants: build/ (release), build/asan, build/tsan, build/cov; choose with VARIANT=asan.

VARIANT ?= release
ifeq ($(VARIANT),release)
B := build
else
B := build/$(VARIANT)
endif

CC ?= cc
PKGS := libwebsockets rdkafka jansson yaml-0.1 libcurl openssl
CPPFLAGS += -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 $(PKG_CFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
  -Wmissing-prototypes -Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla -Wswitch-enum -Werror
CFLAGS_release := -O2 -g
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_cov := -O0 -g --coverage
ifneq ($(VARIANT),release)
CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS))
endif
ALL_CFLAGS := -std=c11 $(WARN) -fstack-protector-strong -fPIE -pthread $(CFLAGS_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread $(CFLAGS_$(VARIANT)) $(LDFLAGS)

LIB_SRCS := $(filter-out gateway/main.c,$(wildcard gateway/*.c)) $(wildcard connectors/*.c)
LIB_OBJS := $(LIB_SRCS:%.c=$(B)/%.o)
LIB := $(B)/libheadgate.a
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/unit/%)

.PHONY: all clean unit
all: $(B)/headgate

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJS)
	@rm -f $@
	ar rcs $@ $^

$(B)/headgate: $(B)/gateway/main.o $(LIB)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(B)/unit/%: tests/unit/%.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Igateway -Iconnectors -MMD -MP -o $@ $< $(LIB) $(ALL_LDFLAGS) $(PKG_LIBS) -lcheck -lsubunit -lrt -lm

unit: $(UNIT_BINS)
	@set -e; for t in $(UNIT_BINS); do echo "== $$t"; $$t; done

# --- end-to-end tests -------------------------------------------------------------------------
# e2e runs against librdkafka's mock cluster, e2e-kafka against a real Apache Kafka (packages: maven,
# openjdk-17-jre-headless); accept is the acceptance run in full size. They need python3-pytest,
# python3-websockets, python3-confluent-kafka, kcat, prometheus; node, npm and chromium for some.

.PHONY: kafka e2e e2e-kafka accept e2e-tools
E2E_TOOLS := $(B)/e2e/mockbroker $(B)/e2e/sub
E2E := HEADGATE=$(B)/headgate E2E_TOOLS=$(B)/e2e /usr/bin/python3 -m pytest -q tests/e2e $(E2E_ARGS)

e2e-tools: $(E2E_TOOLS)

$(B)/e2e/mockbroker: tests/e2e/mockbroker.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(ALL_LDFLAGS) -lrdkafka

$(B)/e2e/sub: tests/e2e/sub.c tests/e2e/sub_conn.c tests/e2e/sub_conn.h $(B)/gateway/buf.o $(B)/gateway/mem.o
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -o $@ $(filter %.c %.o,$^) $(ALL_LDFLAGS)

# The jars of Kafka, once.
kafka:
	tests/kafka/kafka fetch

tests/node_modules: tests/package.json
	@if command -v npm >/dev/null; then cd tests && npm install --no-package-lock --no-audit --no-fund \
	  --ignore-scripts && touch node_modules; else echo "no npm: the tests with Node clients are skipped"; fi

e2e: $(B)/headgate $(E2E_TOOLS) tests/node_modules
	$(E2E) --backend mock

e2e-kafka: $(B)/headgate $(E2E_TOOLS) tests/node_modules kafka
	$(E2E) --backend kafka

accept: $(B)/headgate $(E2E_TOOLS) tests/node_modules kafka
	E2E_SCALE=full $(E2E) --backend kafka -m accept

# --- end of the end-to-end tests

clean:
	rm -rf build

-include $(LIB_OBJS:.o=.d) $(B)/gateway/main.d $(UNIT_BINS:=.d)
