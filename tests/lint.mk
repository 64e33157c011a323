# Static analysis: three analysers of C, one of Python. All must have nothing to say; a suppression stands
# in the code, with its reason.

LINT_SRC := $(CORE_SRC) $(PYTHON_SRC) $(EXTENSION_SRC) $(TOP_SRC)
# gcc's analyser wants optimisation; its findings are errors by WARN. What else the compiler is given is
# what a build gives.
LINT_FLAGS = -std=c11 -D_GNU_SOURCE -Iinclude $(PYTHON_INCLUDE) $(LINT_DEFINES)
LINT_DEFINES = -DCSERVE_VERSION='"$(VERSION)"' -DPYTHON_EXECUTABLE='"$(PYTHON_EXECUTABLE)"' \
    -DPYTHON_HOME='"$(PYTHON_HOME)"' -DPYTHON_LINKAGE='"$(PYTHON_LINKAGE)"' -DAPP_CODE='"src/python/app.py"'

.PHONY: lint lint-setup lint-gcc lint-tidy lint-cppcheck lint-python

lint: lint-setup ## Run gcc -fanalyzer, clang-tidy, cppcheck and ruff
	@$(MAKE) --no-print-directory -j2 lint-gcc lint-tidy lint-cppcheck lint-python

lint-setup:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup lint

lint-gcc: $(LINT_SRC:src/%.c=$(BUILD)/lint/%.analysed)

$(BUILD)/lint/%.analysed: src/%.c $(wildcard include/cserve/*.h src/*/*.h) tests/lint.mk
	@mkdir -p $(@D)
	$(Q:@=@echo "  LINT  $<";)gcc $(LINT_FLAGS) $(WARN) -O2 -fanalyzer -c -o $@ $<

lint-tidy: $(LINT_SRC:src/%.c=$(BUILD)/lint/%.tidied)

$(BUILD)/lint/%.tidied: src/%.c $(wildcard include/cserve/*.h src/*/*.h) .clang-tidy tests/lint.mk
	@mkdir -p $(@D)
	$(Q:@=@echo "  TIDY  $<";)clang-tidy --quiet $< -- $(LINT_FLAGS) 2> $@.log || { cat $@.log; exit 1; }
	@touch $@

# cppcheck cannot read Python.h; these stand for the macros of it that hold more than an expression.
CPPCHECK_PYTHON := -DPY_VERSION_HEX=0x030B0000 -DPyObject_HEAD= '-DPy_RETURN_NONE=return Py_None' \
    '-DPy_BEGIN_ALLOW_THREADS={' '-DPy_END_ALLOW_THREADS=}'

# Where a variable is declared (variableScope) is a matter of taste: here, with the others of its block.
lint-cppcheck:
	@echo "  CPPCHECK"
	$(Q)cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr -D_GNU_SOURCE -DCSERVE_VERSION='"0"' -DAPP_CODE='""' \
	    $(CPPCHECK_PYTHON) --enable=warning,performance,portability,style --suppress=variableScope -Iinclude src

lint-python: $(VENV_STAMP)
	@echo "  RUFF"
	$(Q)$(VENV)/bin/ruff check --quiet .
