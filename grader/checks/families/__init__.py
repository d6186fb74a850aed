IN_THE_WORKER = (  # what a worker imports before it meets a submission: public callables
    "shared.critics",
    "shared.decoders",
    "shared.energies",
    "shared.flows",
    "shared.image_models",
    "shared.noise_models",
    "shared.passed_on",
    "shared.scores",
    "shared.velocities",
)
