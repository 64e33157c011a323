# Fuzzing with libFuzzer (clang), and the replay of its corpora with any compiler.
#
# A target is tests/fuzz/fuzz_NAME.c; its corpus is tests/fuzz/corpus/NAME. `make fuzz` works on a copy of
# the corpora below $(BUILD), so that the tree stays as it is; `make fuzz-merge` takes over from there the
# inputs that reach code that no other reaches.

SECONDS ?= 600
FUZZ := head body uri proxy forwarded files options connection

CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
    -fno-sanitize-recover=undefined
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined

# What all targets are linked with, and the functions that a target puts before the real ones.
FUZZ_PARTS := $(patsubst %,$(OUT)/fuzz/%.o,fuzz stub responses $(if $(filter fuzz,$(VARIANT)),,replay))
FUZZ_WRAP_connection := clock_ms clock_wall
FUZZ_WRAP_options := getaddrinfo

FUZZ_TARGETS := $(FUZZ:%=$(OUT)/fuzz/fuzz_%)

.PHONY: fuzz fuzz-build fuzz-run fuzz-merge fuzz-merge-run fuzz-replay fuzz-replay-run fuzz-setup

$(OUT)/fuzz/%.o: tests/fuzz/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(Q:@=@echo "  CC    $<";)$(COMPILE) -Isrc/server -MMD -MP -c -o $@ $<

$(FUZZ_TARGETS): $(OUT)/fuzz/fuzz_%: $(OUT)/fuzz/fuzz_%.o $(FUZZ_PARTS) $(CORE_OBJ)
	$(Q:@=@echo "  LINK  $@";)$(COMPILE) -o $@ $(filter %.o,$^) $(FUZZ_WRAP_$*:%=-Wl,--wrap=%) $(LINK) -lpthread

# The parser as a program, which tests/web/test_differential.py compares with others.
$(OUT)/fuzz/parse_requests: $(OUT)/fuzz/parse_requests.o $(CORE_OBJ)
	$(Q:@=@echo "  LINK  $@";)$(COMPILE) -o $@ $(filter %.o,$^) $(LINK) -lpthread

check: $(OUT)/fuzz/parse_requests

fuzz-build: $(FUZZ_TARGETS)

fuzz-setup:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup fuzz

fuzz: fuzz-setup ## Run each fuzz target for SECONDS (600), two at a time
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang fuzz-run

fuzz-run: fuzz-build
	@$(PYTHON_EXECUTABLE) tests/fuzz/run.py --seconds $(SECONDS) --work $(OUT)/fuzz $(FUZZ)

fuzz-merge: fuzz-setup
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang fuzz-merge-run

fuzz-merge-run: fuzz-build
	@$(PYTHON_EXECUTABLE) tests/fuzz/run.py --merge --work $(OUT)/fuzz $(FUZZ)

fuzz-replay: ## Run the fuzz targets on their corpora, with sanitizers
	@$(MAKE) --no-print-directory VARIANT=asan fuzz-replay-run

fuzz-replay-run: fuzz-build
	@for t in $(FUZZ); do $(OUT)/fuzz/fuzz_$$t tests/fuzz/corpus/$$t || exit 1; done

-include $(wildcard $(OUT)/fuzz/*.d)
