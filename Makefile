# Builds, runs, tests and installs cserve. `make help` lists the targets and what may be set.

PYTHON ?= python3
PREFIX ?= /usr/local
BUILD ?= build
VARIANT ?= release
VENV ?= .venv
ifeq ($(origin CC),default)
CC := gcc
endif

VERSION := $(shell sed -n 's/^version = //p' setup.cfg)
OUT := $(BUILD)/$(VARIANT)
WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes

CFLAGS_release := -O2 -g -fno-plt -fno-semantic-interposition -fstack-protector-strong
LDFLAGS_release := -Wl,-z,relro,-z,now
# Built twice: `generate` watches what is done, `use` has learnt from that. By `make pgo`, with gcc.
PGO ?= use
PGO_CC = $(if $(findstring clang,$(CC)),gcc,$(CC))
PROFILE = $(abspath $(OUT))/profile
PGO_generate = -flto=auto -fprofile-generate=$(PROFILE) -fprofile-update=atomic
PGO_use = -flto=auto -fprofile-use=$(PROFILE) -fprofile-partial-training -Wno-missing-profile
CFLAGS_pgo = $(CFLAGS_release) -O3 $(PGO_$(PGO))
LDFLAGS_pgo = $(LDFLAGS_release) -O3 $(PGO_$(PGO))
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
LDFLAGS_tsan := -fsanitize=thread

# Commands are shown in short; V=1 shows them whole.
Q := $(if $(V),,@)

COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -Iinclude -fvisibility=hidden $(WARN) $(CFLAGS_$(VARIANT)) \
	$(CPPFLAGS) $(CFLAGS)
LINK = $(LDFLAGS_$(VARIANT)) $(LDFLAGS)

# The rooms that know no Python make the core; unit tests link with that.
CORE_SRC := $(foreach room,base net http server config,$(wildcard src/$(room)/*.c))
# The extension module has its own beginning, and the interpreter at hand: src/package/backend.py builds it.
EXTENSION_SRC := src/python/extension.c src/python/guest.c
PYTHON_SRC := $(filter-out $(EXTENSION_SRC),$(wildcard src/python/*.c))
TOP_SRC := $(wildcard src/process/*.c) src/program.c src/main.c
CORE_OBJ := $(CORE_SRC:src/%.c=$(OUT)/%.o)
PYTHON_OBJ := $(PYTHON_SRC:src/%.c=$(OUT)/%.o)
TOP_OBJ := $(TOP_SRC:src/%.c=$(OUT)/%.o)
UNIT := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/test_*.c))

.PHONY: all unit docs pictures install uninstall pgo bench-instr bench-instr-setup bench-loop bench-threads tsan setup setup-test serve run test check check-package help clean FORCE
.DELETE_ON_ERROR:

# The manual page and what lets shells complete commands: below PREFIX, where man and they look.
SHARE := $(addprefix share/,man/man1/cserve.1 bash-completion/completions/cserve zsh/site-functions/_cserve \
	fish/vendor_completions.d/cserve.fish)

all: $(OUT)/cserve ## Build build/release/cserve (the default)

# These targets must work before there is a Python to ask: they prepare it, then call make again.
ifneq ($(filter-out clean help uninstall setup setup-test run test bench-instr-setup,$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/python.mk
endif

# Both are written only when they change, so that another PYTHON or other flags build anew what depends on them.
$(BUILD)/python.mk: FORCE
	@$(PYTHON) src/python/build_flags.py $@

$(OUT)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(COMPILE) $(LINK) $(VERSION)' | cmp -s - $@ || echo '$(COMPILE) $(LINK) $(VERSION)' > $@

$(OUT)/cserve: $(CORE_OBJ) $(PYTHON_OBJ) $(TOP_OBJ) $(BUILD)/python.mk $(PYTHON_LIBRARY)
	$(Q:@=@echo "  LINK  $@";)$(COMPILE) -o $@ $(filter %.o,$^) $(LINK) $(PYTHON_LINK) -lpthread -ldl -lm -lrt

$(OUT)/%.o: src/%.c $(OUT)/flags
	@mkdir -p $(@D)
	$(Q:@=@echo "  CC    $<";)$(COMPILE) $(EXTRA) -MMD -MP -c -o $@ $<

$(PYTHON_OBJ): $(BUILD)/python.mk
$(PYTHON_OBJ) $(OUT)/program.o: EXTRA = -DCSERVE_VERSION='"$(VERSION)"'
$(PYTHON_OBJ): EXTRA += $(PYTHON_INCLUDE) \
	$(foreach name,PYTHON_EXECUTABLE PYTHON_HOME PYTHON_LINKAGE,-D$(name)='"$($(name))"')
$(OUT)/python/app.o: EXTRA += -DAPP_CODE='"$(OUT)/python/app.code"'
$(OUT)/python/app.o: $(OUT)/python/app.code
$(OUT)/process/page.o: src/process/page.html
$(OUT)/python/app.code: src/python/app.py $(BUILD)/python.mk
	@mkdir -p $(@D)
	@$(PYTHON_EXECUTABLE) -c 'import marshal; open("$@", "wb").write(marshal.dumps( \
	    compile(open("$<").read(), "<cserve>", "exec", dont_inherit=True, optimize=0)))'

$(OUT)/unit/%: tests/unit/%.c $(CORE_OBJ)
	@mkdir -p $(@D)
	$(Q:@=@echo "  CC    $<";)$(COMPILE) -Itests/unit -MMD -MP -o $@ $< $(CORE_OBJ) $(LINK) -lcmocka -lpthread

$(OUT)/share/man/man1/cserve.1: WRITE = --help-man
$(OUT)/share/bash-completion/completions/cserve: WRITE = --completion bash
$(OUT)/share/zsh/site-functions/_cserve: WRITE = --completion zsh
$(OUT)/share/fish/vendor_completions.d/cserve.fish: WRITE = --completion fish
$(addprefix $(OUT)/,$(SHARE)): $(OUT)/cserve
	@mkdir -p $(@D)
	@$< $(WRITE) > $@

unit: $(UNIT) ## Run the C unit tests (VARIANT=asan: with sanitizers)
	@for t in $(UNIT); do echo "$$t"; $$t || exit 1; done

# The name of the stamp says which interpreter made the environment: another one makes it anew.
VENV_STAMP = $(VENV)/made-by$(subst /,-,$(PYTHON_EXECUTABLE))
$(VENV_STAMP): tests/requirements.txt
	$(PYTHON_EXECUTABLE) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

pgo: ## Build build/pgo/cserve with gcc, optimised for what tests/bench/train.py does (then: make VARIANT=pgo install)
	rm -rf $(BUILD)/pgo/profile
	@$(MAKE) --no-print-directory VARIANT=pgo CC='$(PGO_CC)' PGO=generate $(BUILD)/pgo/cserve
	$(PYTHON_EXECUTABLE) tests/bench/train.py $(BUILD)/pgo/cserve
	@$(MAKE) --no-print-directory VARIANT=pgo CC='$(PGO_CC)' PGO=use $(BUILD)/pgo/cserve

bench-instr: bench-instr-setup ## Count the instructions of a request, with callgrind; fails above what they may be
	@$(MAKE) --no-print-directory pgo
	$(PYTHON) tests/bench/instr.py $(BUILD)/pgo/cserve

bench-instr-setup:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup memcheck

docs: $(OUT)/cserve ## Write docs/options.md from the option table
	@mkdir -p docs
	$(OUT)/cserve --help-markdown > docs/options.md

pictures: $(VENV_STAMP) $(OUT)/cserve ## Take the pictures of the status page anew that docs/watching.md shows
	$(VENV)/bin/python tests/web/pictures.py $(OUT)/cserve

bench-loop: $(OUT)/cserve ## Time a Python loop inside cserve against the interpreter's own executable
	$(PYTHON_EXECUTABLE) tests/bench/loop.py $(OUT)/cserve $(PYTHON_EXECUTABLE)

bench-threads: $(OUT)/cserve ## Measure what threads cost and give, beside what is aimed at (needs wrk)
	$(PYTHON_EXECUTABLE) tests/bench/threads.py $(OUT)/cserve

tsan: ## Run the stress test of the dispatcher with ThreadSanitizer (CSERVE_STRESS_MS: how long each case runs)
	@$(MAKE) --no-print-directory VARIANT=tsan $(BUILD)/tsan/unit/test_threads
	$(BUILD)/tsan/unit/test_threads

install: $(OUT)/cserve $(addprefix $(OUT)/,$(SHARE)) ## Install to PREFIX (/usr/local), below DESTDIR if set
	install -D -m 755 $(OUT)/cserve $(DESTDIR)$(PREFIX)/bin/cserve
	for file in $(SHARE); do install -D -m 644 $(OUT)/$$file $(DESTDIR)$(PREFIX)/$$file || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/share/doc/cserve/docs/images
	install -m 644 README.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/cserve
	install -m 644 $(wildcard docs/*.md) $(DESTDIR)$(PREFIX)/share/doc/cserve/docs
	install -m 644 $(wildcard docs/images/*) $(DESTDIR)$(PREFIX)/share/doc/cserve/docs/images

uninstall: ## Remove what install has put there, with the same PREFIX and DESTDIR
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/cserve $(SHARE))
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/cserve

setup setup-test:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup $(subst setup-,,$(filter setup-test,$@))

serve: $(OUT)/cserve
	$(OUT)/cserve apps/hello.py

run: setup ## Set up, build, and serve apps/hello.py on http://127.0.0.1:8888/hello
	@$(MAKE) --no-print-directory serve

# How the code is built does not depend on the variant, nor how many machines share a load, nor what pages say.
CHECK_asan := --ignore=tests/web/test_build.py --ignore=tests/web/test_fleet.py --ignore=tests/web/test_docs.py --ignore=tests/web/test_migrating.py

check: $(VENV_STAMP) $(OUT)/cserve
	$(VENV)/bin/python -m pytest --cserve $(OUT)/cserve $(CHECK_$(VARIANT)) tests

check-package: $(VENV_STAMP)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall .
	$(VENV)/bin/mypy --strict src/package/cserve
	$(VENV)/bin/python -m pytest --cserve $(VENV)/bin/cserve tests

test: setup-test ## Set up, build, and run every test: the binary, with and without sanitizers, and the package
	@$(MAKE) --no-print-directory VARIANT=asan unit all
	@$(MAKE) --no-print-directory fuzz-replay
	@$(MAKE) --no-print-directory tsan
	@$(MAKE) --no-print-directory bench-instr
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory VARIANT=asan check
	@$(MAKE) --no-print-directory check-package

help: ## Show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 16
	@echo
	@echo 'May be set: PYTHON (an interpreter, default python3), CC, CFLAGS, LDFLAGS, PREFIX, DESTDIR, BUILD (build),'
	@echo 'VARIANT (release, asan or pgo), V=1 (show commands), CSERVE_PYTHON_LINK=shared in the environment.'

clean: ## Remove what was built
	rm -rf $(BUILD)

include tests/bench/bench.mk tests/chaos/chaos.mk tests/fuzz/fuzz.mk tests/lint.mk tests/memcheck/memcheck.mk tests/torture/torture.mk
-include $(CORE_OBJ:.o=.d) $(PYTHON_OBJ:.o=.d) $(TOP_OBJ:.o=.d) $(UNIT:=.d)
