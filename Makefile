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

# Fakes: objects that a unit test links before the archive, so that they stand in for a unit of it.
FAKES_test_kafka := fake_stream
FAKES_test_synthetic := fake_stream
# C11 threads that ThreadSanitizer understands, for librdkafka's.
TSAN_OBJS := $(if $(filter tsan,$(VARIANT)),$(B)/tests/tsan/c11_threads.o)
fakes = $(TSAN_OBJS) $(FAKES_$(1):%=$(B)/tests/unit/%.o)

.SECONDEXPANSION:
$(B)/unit/%: tests/unit/%.c $$(call fakes,$$*) $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Igateway -Iconnectors -MMD -MP -o $@ $< $(call fakes,$*) $(LIB) $(ALL_LDFLAGS) $(PKG_LIBS) -lcheck -lsubunit -lrt -lm

unit: $(UNIT_BINS)
	@set -e; for t in $(UNIT_BINS); do echo "== $$t"; $$t; done

clean:
	rm -rf build

-include $(LIB_OBJS:.o=.d) $(B)/gateway/main.d $(UNIT_BINS:=.d)
