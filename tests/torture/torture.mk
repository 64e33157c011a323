# slowhttptest and wrk against a server that others use meanwhile; tests/torture/torture.py.

ROUNDS ?= 20

.PHONY: torture torture-setup torture-run

torture: torture-setup ## Flood and starve the server for ROUNDS (20): nobody else may notice
	@$(MAKE) --no-print-directory torture-run

torture-setup:
	@PYTHON='$(PYTHON)' CC='$(CC)' sh .ci/setup torture

torture-run: $(OUT)/cserve
	$(PYTHON_EXECUTABLE) tests/torture/torture.py --cserve $(OUT)/cserve --rounds $(ROUNDS)
