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

clean:
	rm -rf build

-include $(LIB_OBJS:.o=.d) $(B)/gateway/main.d $(UNIT_BINS:=.d)

# --- fuzz: every tests/fuzz/fuzz_*.c for FUZZ_SECONDS each, one after another (libFuzzer, clang 14).
# New inputs go to build/fuzz/NAME.found; copy what is worth keeping to tests/fuzz/corpus/NAME.
# fuzz-replay: each committed corpus file once, without libFuzzer: for every change.
FUZZ_SECONDS ?= 60
FUZZ_CC ?= clang-14
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZ_NAMES:%=build/fuzz/fuzz_%)
REPLAY_BINS := $(FUZZ_NAMES:%=build/fuzz/replay_%)
FUZZ_CFLAGS := -std=c11 $(WARN) -O1 -g -fno-omit-frame-pointer -pthread -Igateway -Iconnectors
FUZZ_CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS))
FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LIB := build/fuzz/libheadgate.a
REPLAY_LIB := build/fuzz/replay/libheadgate.a

.PHONY: fuzz fuzz-replay
.SECONDARY: $(FUZZ_BINS) $(REPLAY_BINS)

build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CPPFLAGS) $(FUZZ_CFLAGS) $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

build/fuzz/replay/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(FUZZ_CPPFLAGS) $(FUZZ_CFLAGS) $(FUZZ_SANITIZE) -MMD -MP -c -o $@ $<

$(FUZZ_LIB): $(LIB_SRCS:%.c=build/fuzz/obj/%.o)
	@rm -f $@
	ar rcs $@ $^

$(REPLAY_LIB): $(LIB_SRCS:%.c=build/fuzz/replay/%.o)
	@rm -f $@
	ar rcs $@ $^

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_LIB)
	$(FUZZ_CC) $(FUZZ_SANITIZE) -fsanitize=fuzzer -pthread -o $@ $^ $(PKG_LIBS) -lm

build/fuzz/replay_%: build/fuzz/replay/tests/fuzz/fuzz_%.o build/fuzz/replay/tests/fuzz/replay.o $(REPLAY_LIB)
	$(CC) $(FUZZ_SANITIZE) -pthread -o $@ $^ $(PKG_LIBS) -lm

fuzz: $(FUZZ_BINS)
	@set -e; for name in $(FUZZ_NAMES); do echo "== fuzz $$name"; mkdir -p build/fuzz/$$name.found; \
	  build/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$$name- build/fuzz/$$name.found tests/fuzz/corpus/$$name; done

fuzz-replay: $(REPLAY_BINS)
	@set -e; for name in $(FUZZ_NAMES); do build/fuzz/replay_$$name tests/fuzz/corpus/$$name; done

-include $(wildcard build/fuzz/obj/*/*.d build/fuzz/obj/tests/fuzz/*.d build/fuzz/replay/*/*.d \
  build/fuzz/replay/tests/fuzz/*.d)
