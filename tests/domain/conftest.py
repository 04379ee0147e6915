from hypothesis import HealthCheck, settings

# A busy machine is no fault of the code: examples are limited by number, never by time.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
