# Chaos: random signals under load; tests/chaos/test_chaos.py. SECONDS has another default elsewhere.

CHAOS_SECONDS = $(if $(filter command environment,$(firstword $(origin SECONDS))),$(SECONDS),60)

.PHONY: chaos
chaos: $(VENV_STAMP) $(OUT)/cserve ## Send random signals under load for SECONDS (60): nothing may be lost or left over
	SECONDS=$(CHAOS_SECONDS) $(VENV)/bin/python -m pytest -s --cserve $(OUT)/cserve tests/chaos
