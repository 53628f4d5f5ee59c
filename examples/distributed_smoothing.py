"""One smoothed gradient of a push by several processes, on CPUs or with a GPU each.

torchrun --nproc-per-node 2 examples/distributed_smoothing.py

The same seed gives the same estimate on any number of processes, also on one: python examples/distributed_smoothing.py
"""

import carom
from carom.gradients import Distributed, Estimate, Smoothing, join_processes


def main(samples: int = 4096) -> Estimate:
    """The estimate, printed by one process."""
    with join_processes() as processes:
        task = carom.envs.make("push", start="apart", device=processes.device, threads=processes.threads)
        backend = Distributed(Smoothing(scale=0.02, samples=samples, chunk=1024), processes)
        estimate = backend.estimate(task, task.initial_parameters(), seed=0)
        if processes.rank == 0:
            print(f"{processes.size} process(es), {estimate.evaluations} rollouts, {estimate.seconds:.2f} s")
            low, high = estimate.interval(0.95)
            for name, *numbers in zip(
                task.parameter_names, estimate.gradient.tolist(), low.tolist(), high.tolist(), strict=True
            ):
                print("{:>4} {:9.3f}, 95 % interval {:9.3f} to {:9.3f}".format(name, *numbers))
    return estimate


if __name__ == "__main__":
    main()
