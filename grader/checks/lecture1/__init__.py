IN_THE_WORKER = (  # what a worker imports before it meets a submission: public callables, and helpers beside the student's objects
    "shared.conditionals",
    "shared.diffeomorphisms",
    "shared.families",
    "shared.handed_on",
    "shared.layouts",
    "shared.samplers",
    "imagegpt.gpu_helpers",
    "imagegpt.helpers",
)
