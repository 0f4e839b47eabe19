# Headgate: the one build file. `make help` lists the targets.
# Variants: build/ (release), build/asan, build/tsan, build/cov, build/fuzz; choose with VARIANT=asan.

# --- Variants, flags and files ------------------------------------------------------------------
VERSION := 0.1.0
VARIANT ?= release
ifeq ($(VARIANT),release)
B := build
else
B := build/$(VARIANT)
endif
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

CC ?= cc
# V=1 shows the commands whole.
Q = $(if $(V),,@echo "  $@" && )
CLANG_FORMAT ?= clang-format-14
CLANG_TIDY ?= clang-tidy-14
PYTHON ?= /usr/bin/python3
PKGS := libwebsockets rdkafka jansson yaml-0.1 libcurl openssl libpq sqlite3 zlib libzstd
CPPFLAGS += -Igateway -Iconnectors -D_GNU_SOURCE -D_FORTIFY_SOURCE=2 $(PKG_CFLAGS)
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
# Without this, GCC 12's TSan cannot place its shadow memory on kernels with 32 bits of mmap randomness.
RUN_tsan := TSAN_OPTIONS=suppressions=$(CURDIR)/tests/sanitizers/tsan.supp $(shell setarch -R true 2>/dev/null && echo setarch -R)
ALL_CFLAGS := -std=c11 $(WARN) -fstack-protector-strong -fPIE -pthread $(CFLAGS_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now -pthread $(CFLAGS_$(VARIANT)) $(LDFLAGS)

LIB_SRCS := $(filter-out gateway/main.c,$(wildcard gateway/*.c)) $(wildcard connectors/*.c)
LIB_OBJS := $(LIB_SRCS:%.c=$(B)/%.o)
PAGE_FILES := $(addprefix gateway/page/,index.html app.js style.css favicon.svg)
LIB_OBJS += $(B)/gateway/page_data.o
LIB := $(B)/libheadgate.a
MAIN_SRCS := $(wildcard gateway/main.c)
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/unit/%)
C_FILES := $(wildcard gateway/*.[ch] connectors/*.[ch] tests/*/*.[ch])

.DELETE_ON_ERROR:
.PHONY: all help run test clean unit build-tests build-unit
all: $(if $(MAIN_SRCS),$(B)/headgate,$(LIB)) ## build build/headgate

help: ## list the targets
	@awk -F': .*## ' '/^[a-z0-9-]+:.* ## /{sub(/:.*/, "", $$1); printf "  %-16s %s\n", $$1, $$2}' \
	  $(MAKEFILE_LIST) | sort
	@echo "  VARIANT=asan|tsan|cov builds and tests in build/VARIANT/ instead of build/"

# --- Compile and link -----------------------------------------------------------------------------
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The demo page, as bytes in the program.
$(B)/gateway/page_data.c: gateway/page/embed.sh $(PAGE_FILES)
	@mkdir -p $(@D)
	$(Q)sh $^ >$@.tmp && mv $@.tmp $@

$(B)/gateway/page_data.o: $(B)/gateway/page_data.c
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(LIB): $(LIB_OBJS)
	@rm -f $@
	$(Q)ar rcs $@ $^

# C11 threads that ThreadSanitizer understands, for librdkafka's.
TSAN_OBJS := $(if $(filter tsan,$(VARIANT)),$(B)/tests/tsan/c11_threads.o)

$(B)/headgate: $(B)/gateway/main.o $(TSAN_OBJS) $(LIB)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Only version.o knows the version and the commit, so a commit rebuilds one file.
COMMIT := $(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null || echo unknown)
VERSION_TEXT := $(VERSION) $(COMMIT)
ifneq ($(shell cat $(B)/version.txt 2>/dev/null),$(VERSION_TEXT))
$(shell mkdir -p $(B) && echo '$(VERSION_TEXT)' >$(B)/version.txt)
endif
$(B)/gateway/version.o: $(B)/version.txt
$(B)/gateway/version.o: CPPFLAGS += -DHEADGATE_VERSION='"$(VERSION)"' -DHEADGATE_COMMIT='"$(COMMIT)"'

-include $(LIB_OBJS:.o=.d) $(B)/gateway/main.d $(UNIT_BINS:=.d) $(wildcard $(B)/tests/unit/*.d)

# --- end-to-end tests -------------------------------------------------------------------------
# e2e runs against librdkafka's mock cluster, e2e-kafka against a real Apache Kafka (packages: maven,
# openjdk-17-jre-headless); accept is the acceptance run in full size. They need python3-pytest,
# python3-websockets, python3-confluent-kafka, kcat, prometheus; node, npm and chromium for some.

.PHONY: kafka e2e e2e-kafka smoke accept accept-files accept-answers e2e-tools
E2E_TOOLS := build/e2e/mockbroker build/e2e/sub build/e2e/lws_naive
E2E_TESTS := tests/e2e
E2E = HEADGATE=$(B)/headgate E2E_TOOLS=build/e2e $(RUN_$(VARIANT)) $(PYTHON) -m pytest -q $(E2E_TESTS) $(E2E_ARGS)

e2e-tools: $(E2E_TOOLS)

# The tools are the same for every variant: it is the gateway that the sanitizers look at.
build/e2e/mockbroker: tests/e2e/mockbroker.c
build/e2e/lws_naive: tests/e2e/lws_naive.c
build/e2e/sub: tests/e2e/sub.c tests/e2e/sub_conn.c gateway/buf.c gateway/mem.c | tests/e2e/sub_conn.h
build/e2e/%:
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 $(WARN) $(CFLAGS_release) -pthread -o $@ $^ -lrdkafka -lwebsockets

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

# A few minutes less: what a first look at another platform or sanitizer needs.
SMOKE_TESTS := $(wildcard $(addprefix tests/e2e/test_,transports.py resume.py slow.py limits.py hostile.py catchup.py shutdown.py))
smoke: $(B)/headgate $(E2E_TOOLS)
	$(E2E) --backend mock

smoke: E2E_TESTS := $(SMOKE_TESTS)

accept: $(B)/headgate $(E2E_TOOLS) tests/node_modules kafka
	E2E_SCALE=full $(E2E) --backend kafka -m accept

accept-files: $(B)/headgate $(E2E_TOOLS) ## files as they were accepted: 200 rotations, 1,000 resumes
	E2E_SCALE=full HEADGATE=$(B)/headgate E2E_TOOLS=build/e2e $(PYTHON) -m pytest -q \
	  tests/e2e/test_file_rotation.py tests/e2e/test_file_alike.py

accept-answers: $(B)/headgate $(E2E_TOOLS) tests/node_modules ## answers: each cut at 500 bytes, three upstreams at each
	E2E_SCALE=full HEADGATE=$(B)/headgate E2E_TOOLS=build/e2e $(PYTHON) -m pytest -q tests/e2e/test_llm_cuts.py \
	  tests/e2e/test_llm_sdk.py -k "cuts or part" --backend mock

# --- chaos: two replicas, a real Apache Kafka and a swarm of subscribers that check every record by its
# place, while replicas are killed and the broker is restarted. chaos-short is what every change must
# pass; MINUTES and SUBSCRIBERS make the long form longer.
.PHONY: chaos chaos-short
CHAOS_TOOLS := build/chaos/swarm build/chaos/produce
CHAOS_PARTS := tests/chaos/trace.c gateway/token.c gateway/token_keys.c gateway/mac.c \
  gateway/base64.c gateway/buf.c gateway/mem.c gateway/err.c
build/chaos/swarm: tests/chaos/swarm.c tests/e2e/sub_conn.c $(CHAOS_PARTS) | tests/e2e/sub_conn.h tests/chaos/trace.h
build/chaos/produce: tests/chaos/produce.c | tests/chaos/trace.h
build/chaos/%:
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=c11 $(WARN) $(CFLAGS_release) -pthread -o $@ $^ -lrdkafka -lcrypto

MINUTES ?= 10
SUBSCRIBERS ?= 200
CHAOS = HEADGATE=$(B)/headgate CHAOS_TOOLS=build/chaos $(PYTHON) -m pytest -q -s tests/chaos

chaos: $(B)/headgate $(CHAOS_TOOLS) kafka ## ten minutes of chaos: MINUTES=10 SUBSCRIBERS=200
	CHAOS_MINUTES=$(MINUTES) CHAOS_SUBSCRIBERS=$(SUBSCRIBERS) $(CHAOS)

chaos-short: $(B)/headgate $(CHAOS_TOOLS) kafka
	$(CHAOS)

# The demo page in Chromium; screenshots in build/page/.
.PHONY: page
page: $(B)/headgate tests/node_modules ## the demo page in Chromium
	HEADGATE=$(abspath $(B))/headgate node --test tests/e2e/page.test.mjs

# --- Unit tests -------------------------------------------------------------------------------------
# Fakes: objects that a unit test links before the archive, so that they stand in for a unit of it.
FAKE_STREAM := fake_stream fake_stream_probes
FAKES_test_downloads := $(FAKE_STREAM)
FAKES_test_file_tail := $(FAKE_STREAM)
FAKES_test_file_bulk := $(FAKE_STREAM)
FAKES_test_file_replay := $(FAKE_STREAM)
FAKES_test_kafka := $(FAKE_STREAM) kafka_bed
FAKES_test_kafka_faults := $(FAKE_STREAM) kafka_bed
FAKES_test_kafka_group := $(FAKE_STREAM)
FAKES_test_synthetic := $(FAKE_STREAM)
FAKES_test_sql_rows := $(FAKE_STREAM)
FAKES_test_llm := $(FAKE_STREAM) llm_server
FAKES_test_llm_log_ear := $(FAKE_STREAM)
FAKES_test_llm_http := llm_server llm_caller
FAKES_test_llm_http_limits := llm_server llm_caller
FAKES_test_config := config_text
FAKES_test_config_checks := config_text
FAKES_test_json := plain_json
FAKES_test_json_lines := plain_json
FAKES_test_stream := played_stream
FAKES_test_locate := played_stream
FAKES_test_session := gateway_fixture subscriber
FAKES_test_session_slow := gateway_fixture subscriber
FAKES_test_resume := gateway_fixture subscriber
FAKES_test_serve := gateway_fixture subscriber
FAKES_test_cursor := gateway_fixture subscriber
FAKES_test_catchup := gateway_fixture subscriber
fakes = $(TSAN_OBJS) $(FAKES_$(1):%=$(B)/tests/unit/%.o)
# Wraps: functions whose calls between units a unit test takes for itself (ld's --wrap).
WRAPS_test_catchup := ring_place
wraps = $(WRAPS_$(1):%=-Wl,--wrap=%)

.SECONDEXPANSION:
$(B)/unit/%: tests/unit/%.c $$(call fakes,$$*) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -Igateway -Iconnectors -MMD -MP -o $@ $< $(call fakes,$*) $(LIB) $(ALL_LDFLAGS) $(call wraps,$*) $(PKG_LIBS) -lcheck -lsubunit -lrt -lm

# UNIT narrows the run: make unit UNIT="ring stream".
UNIT_RUN := $(if $(UNIT),$(UNIT:%=$(B)/unit/test_%),$(UNIT_BINS))
unit: $(UNIT_RUN:=.run) ## run the unit tests of VARIANT (UNIT="ring token": only these; with -k all of them)

build-unit: all $(UNIT_BINS)

$(UNIT_RUN:=.run): %.run: %
	@echo "== $*"; $(RUN_$(VARIANT)) timeout -k 5 300 $*

.PHONY: $(UNIT_RUN:=.run)

# --- Format and lint --------------------------------------------------------------------------------
.PHONY: fmt fmt-check lint
fmt: ## format the C files
	$(CLANG_FORMAT) -i $(C_FILES)

fmt-check: ## fail where `make fmt` would change something
	@$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)

# A file is linted again when its object is newer: headers count by way of the object's .d file.
LINT_SRCS := $(LIB_SRCS) $(MAIN_SRCS)
lint: $(LINT_SRCS:%.c=$(B)/%.tidy) ## clang-tidy over the program, warnings as errors

$(B)/%.tidy: %.c $(B)/%.o .clang-tidy
	@echo "$(CLANG_TIDY) $<"
	@$(CLANG_TIDY) --quiet $< -- -std=c11 $(CPPFLAGS) -U_FORTIFY_SOURCE -DHEADGATE_VERSION='""' -DHEADGATE_COMMIT='""' 2>$@.log \
	  || { cat $@.log >&2; exit 1; }
	@touch $@

# --- Sanitizers and coverage ------------------------------------------------------------------------
.PHONY: asan tsan cov
asan: ## build and run the unit tests with AddressSanitizer and UBSan
	$(MAKE) VARIANT=asan all unit

tsan: ## build and run the unit tests with ThreadSanitizer
	$(MAKE) VARIANT=tsan all unit

cov: ## line and branch coverage of the unit tests, into build/cov/coverage.txt
	.ci/deps cov
	$(MAKE) VARIANT=cov all unit
	gcovr --root . --filter gateway/ --filter connectors/ --object-directory build/cov build/cov \
	  --txt build/cov/coverage.txt --html-details build/cov/coverage.html
	@tail -n 4 build/cov/coverage.txt

# --- The two commands of the README -----------------------------------------------------------------
.PHONY: deps
deps: ## install what building and testing need (Debian)
	.ci/deps build test

run: ## build and start `headgate demo`: an embedded Kafka, sample streams and a page
	.ci/deps build
	$(MAKE) -j$(JOBS) all
	build/headgate demo $(if $(LISTEN),--listen $(LISTEN))

test: ## everything that a change must pass; ends with its counts
	.ci/deps build test debian13
	.ci/test $(PARTS)

# What tests of the plain program share: made before they run side by side.
build-tests: all e2e-tools $(CHAOS_TOOLS) $(B)/faults/kafka_probe tests/node_modules kafka

# --- Install and clean ------------------------------------------------------------------------------
.PHONY: install
install: all ## install into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/headgate
	install -m 0755 $(B)/headgate $(DESTDIR)$(PREFIX)/bin/headgate
	install -m 0644 $(wildcard schemas/*.json schemas/*.yaml) LICENSE $(DESTDIR)$(PREFIX)/share/headgate/

clean: ## remove build/
	rm -rf build

# --- Schemas, deployment, examples, Debian 13 -------------------------------------------------------
.PHONY: schemas test-schemas test-deploy test-examples test-debian13 build-debian13 unit-and-smoke-debian13
PYTEST := $(PYTHON) -m pytest -q -rs -p no:cacheprovider

schemas: $(B)/headgate ## write schemas/config.schema.json anew from the table of keys
	$(B)/headgate config schema >schemas/config.schema.json

test-schemas: all ## the schemas against their validators, examples and the program
	$(PYTEST) tests/schemas

test-deploy: all ## the manifests, alert rules and dashboard, rendered and checked
	$(PYTEST) tests/deploy

test-examples: all e2e-tools tests/node_modules ## run the examples
	$(PYTEST) examples

test-debian13: ## the Dockerfile's steps, build and tests inside Debian 13 packages
	$(MAKE) build-debian13
	$(MAKE) unit-and-smoke-debian13

build-debian13:
	.ci/deps debian13
	$(PYTHON) tests/debian13/run.py build

unit-and-smoke-debian13:
	$(PYTHON) tests/debian13/run.py test

# --- fuzz: every tests/fuzz/fuzz_*.c for FUZZ_SECONDS each, one after another (libFuzzer, clang 14).
# New inputs go to build/fuzz/NAME.found; copy what is worth keeping to tests/fuzz/corpus/NAME.
# fuzz-replay: each committed corpus file once, with the sanitizers of VARIANT=asan, without libFuzzer: for every change.
# fuzz-ci: what clients and files send, for as long each, side by side with -j: for every change too, and
# with a seed that stays, so that a change is not refused for what another one broke. FUZZ_SEED=0: another each time.
FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 1
FUZZ_CC ?= clang-14
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZ_NAMES:%=build/fuzz/fuzz_%)
REPLAY_BINS := $(FUZZ_NAMES:%=$(B)/fuzz/replay_%)
REPLAY_OBJS := $(FUZZ_NAMES:%=$(B)/tests/fuzz/fuzz_%.o) $(B)/tests/fuzz/replay.o
FUZZ_CI := file_csv file_ndjson http_range params
FUZZ_CFLAGS := -std=c11 $(WARN) -O1 -g -fno-omit-frame-pointer -pthread -Igateway -Iconnectors
FUZZ_CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS))
FUZZ_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LIB := build/fuzz/libheadgate.a

.PHONY: fuzz fuzz-replay replay fuzz-ci $(FUZZ_CI:%=fuzz-ci-%)
.SECONDARY: $(FUZZ_BINS) $(REPLAY_BINS) $(REPLAY_OBJS)

build/fuzz/obj/gateway/version.o: FUZZ_CPPFLAGS += -DHEADGATE_VERSION='"fuzz"' -DHEADGATE_COMMIT='""'

# -w: clang warns of other things than the compiler of the release, whose warnings fuzz-replay has.
build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CPPFLAGS) $(FUZZ_CFLAGS) -w $(FUZZ_SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(FUZZ_LIB): $(LIB_SRCS:%.c=build/fuzz/obj/%.o)
	@rm -f $@
	ar rcs $@ $^

build/fuzz/fuzz_%: build/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_LIB)
	$(FUZZ_CC) $(FUZZ_SANITIZE) -fsanitize=fuzzer -pthread -o $@ $^ $(PKG_LIBS) -lm

$(B)/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(TSAN_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lm

fuzz: $(FUZZ_BINS)
	@set -e; for name in $(FUZZ_NAMES); do echo "== fuzz $$name"; mkdir -p build/fuzz/$$name.found; \
	  build/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/$$name- build/fuzz/$$name.found tests/fuzz/corpus/$$name; done

fuzz-ci: $(FUZZ_CI:%=fuzz-ci-%)

$(FUZZ_CI:%=fuzz-ci-%): fuzz-ci-%: build/fuzz/fuzz_%
	@mkdir -p build/fuzz/$*.found
	@build/fuzz/fuzz_$* -seed=$(FUZZ_SEED) -max_total_time=$(FUZZ_SECONDS) -timeout=5 -rss_limit_mb=1024 -artifact_prefix=build/fuzz/$*- \
	  build/fuzz/$*.found tests/fuzz/corpus/$* >build/fuzz/$*.log 2>&1 || { tail -n 40 build/fuzz/$*.log; exit 1; }
	@echo "fuzz $*: $$(tail -n 1 build/fuzz/$*.log)"

fuzz-replay:
	$(MAKE) VARIANT=asan replay

replay: $(REPLAY_BINS)
	@set -e; for name in $(FUZZ_NAMES); do $(RUN_$(VARIANT)) $(B)/fuzz/replay_$$name tests/fuzz/corpus/$$name; done

-include $(wildcard build/fuzz/obj/*/*.d build/fuzz/obj/tests/fuzz/*.d) $(REPLAY_OBJS:.o=.d)

# Benchmarks: tests/bench/BENCHMARKS.md. BENCH_ARGS=--quick is a smoke test of half a minute.
BENCH_OBJS := $(patsubst %,$(B)/tests/bench/%.o,dial hist procstat scan sockets watched) $(B)/gateway/clock.o \
  $(B)/gateway/mem.o
BENCH_BINS := $(B)/bench/loadgen $(B)/bench/bare $(B)/bench/lines $(B)/bench/genserve $(B)/bench/genload

.PHONY: bench bench-tools
.SECONDARY: $(BENCH_OBJS) $(BENCH_BINS:$(B)/bench/%=$(B)/tests/bench/%.o)
bench-tools: $(BENCH_BINS)

bench: $(BENCH_BINS) $(B)/headgate build/chaos/produce
	python3 tests/bench/run.py --build $(B) $(BENCH_ARGS)

$(B)/bench/%: $(B)/tests/bench/%.o $(BENCH_OBJS)
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcrypto

$(B)/bench/stage: tests/bench/stage.c $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -o $@ $(filter-out %.h,$^) $(ALL_LDFLAGS) $(PKG_LIBS)

-include $(BENCH_OBJS:.o=.d) $(BENCH_BINS:$(B)/bench/%=$(B)/tests/bench/%.d)

# --- The Kafka source alone -------------------------------------------------------------------
# Its measurements against kcat and its tests with a real broker; see tests/faults/kafka_probe.c.
$(B)/faults/kafka_probe: tests/faults/kafka_probe.c $(FAKE_STREAM:%=$(B)/tests/unit/%.o) $(TSAN_OBJS) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -o $@ $(filter-out %.h,$^) $(ALL_LDFLAGS) $(PKG_LIBS)

.PHONY: kafka-faults
kafka-faults: $(B)/faults/kafka_probe ## the Kafka source through faults of a real Apache Kafka
	KAFKA_PROBE=$(B)/faults/kafka_probe $(PYTHON) -m pytest -q tests/faults/test_kafka_source.py
