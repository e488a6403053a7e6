#!/usr/bin/env bash
# accelerate 1.15.0: `accelerate launch --cpu --num_processes 2` starts one process, without a word.
#
# One would guess: two, as the same words do on two GPUs and as `torchrun --nproc_per_node 2` does on the same CPUs.
# It is: on CPUs the launcher runs the script directly, unless an MPI hostfile or several machines are given; --num_processes is
# taken and not used, and there is no --multi_cpu. The Accelerator of the script sees no group and calls itself process 0 of 1, so
# whoever reduces a VAE's sums over "both" processes gets those of one. Under torchrun the same script is two.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 accelerate==1.15.0 numpy==2.2.6

cat > "$work/who.py" <<'PY'
import torch
from accelerate import Accelerator

here = Accelerator(cpu=True)
total = here.reduce(torch.ones(()), reduction="sum")
print(f"who: process {here.process_index} of {here.num_processes}, the sum of a one from each is {int(total)}")
PY

export OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true
echo "accelerate $("$work/venv/bin/python" -c 'import accelerate; print(accelerate.__version__)')"
echo "accelerate launch --cpu --num_processes 2:"
launched=$("$work/venv/bin/accelerate" launch --cpu --num_processes 2 "$work/who.py" 2>/dev/null | grep ^who)
echo "$launched"
echo "torchrun --nproc_per_node 2:"
spawned=$("$work/venv/bin/torchrun" --nproc_per_node 2 "$work/who.py" 2>/dev/null | grep ^who | sort)
echo "$spawned"

[ "$launched" = "who: process 0 of 1, the sum of a one from each is 1" ] || { echo "accelerate launch now starts another number" >&2; exit 1; }
[ "$spawned" = "$(printf 'who: process %s of 2, the sum of a one from each is 2\n' 0 1)" ] || { echo "torchrun starts another number" >&2; exit 1; }
