from tp_core.testing import conformance

test_components = conformance("tp-trackio")
