# Benchmarks beside other servers (tests/bench/bench.py), and budgets (tests/bench/budgets.py).
#
# BENCH_FLAGS are further options, as in make bench BENCH_FLAGS="--server cserve --scenario hello".

BENCH_COMMAND = $(PYTHON_EXECUTABLE) tests/bench/$(1).py --cserve $(OUT)/cserve --epoll-server $(OUT)/bench/epoll_server

.PHONY: bench bench-run bench-budgets bench-budgets-run bench-setup

bench: bench-setup ## Measure beside other servers, into docs/benchmarks.md (QUICK=1: minutes, into build/bench)
	@$(MAKE) --no-print-directory bench-run

bench-budgets: bench-setup ## Measure what has a budget: CPU, memory, start, log, system calls
	@$(MAKE) --no-print-directory bench-budgets-run

bench-setup:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup bench

bench-run: $(OUT)/cserve $(OUT)/bench/epoll_server
	$(call BENCH_COMMAND,bench) --venv $(BUILD)/bench/venv $(if $(QUICK),--quick --output $(BUILD)/bench) \
	    $(BENCH_FLAGS)

bench-budgets-run: $(OUT)/cserve $(OUT)/bench/epoll_server
	$(call BENCH_COMMAND,budgets) $(BENCH_FLAGS)

$(OUT)/bench/epoll_server: tests/bench/epoll_server.c $(OUT)/flags
	@mkdir -p $(@D)
	$(Q:@=@echo "  CC    $<";)$(COMPILE) -o $@ $< $(LDFLAGS_$(VARIANT)) $(LDFLAGS)
