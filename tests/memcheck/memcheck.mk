# valgrind's memcheck on a short run of the server.

.PHONY: memcheck memcheck-setup memcheck-run

memcheck: memcheck-setup ## Run the server under valgrind for a moment
	@$(MAKE) --no-print-directory memcheck-run

memcheck-setup:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup memcheck

memcheck-run: $(OUT)/cserve
	$(PYTHON_EXECUTABLE) tests/memcheck/memcheck.py $(OUT)/cserve
