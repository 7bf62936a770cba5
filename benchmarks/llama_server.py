"""llama.cpp's own OpenAI-compatible server on the loopback address, from the prebuilt wheel xllamacpp (MIT).

    pip install --no-deps xllamacpp
    python benchmarks/llama_server.py --gguf model.gguf --name my-model --port 8080
    pedclip curate studies.csv --out triplets --engine server --url http://127.0.0.1:8080/v1 \
        --model my-model --licence apache-2.0

It runs until it is ended (Ctrl-C). The wheel keeps `response_format` by LLGuidance, with which it is built.
"""

import argparse
import signal
from pathlib import Path
from typing import Any

WAY_OUT = "llama.cpp's server comes with a wheel that is not installed here: pip install --no-deps xllamacpp"


def parameters(xllamacpp: Any, args: argparse.Namespace) -> Any:
    found = xllamacpp.CommonParams()
    found.model.path = str(args.gguf)
    found.model_alias = {args.name}  # or it would tell the file's path
    found.hostnames, found.port = ["127.0.0.1"], args.port
    found.n_parallel = args.parallel
    found.n_ctx = args.context * args.parallel  # shared out among the answers at a time
    found.cpuparams.n_threads = found.cpuparams_batch.n_threads = args.threads
    found.endpoint_slots = found.ui = False  # the slots would show reports to whoever asks
    found.verbosity = 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True, help="the model's file")
    parser.add_argument("--name", required=True, help="what the server calls the model")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--parallel", type=int, default=4, help="answers at a time")
    parser.add_argument("--context", type=int, default=4096, help="tokens of a question and its answer")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    try:
        import xllamacpp
    except ImportError as error:
        raise SystemExit(WAY_OUT) from error
    if not args.gguf.is_file():
        raise SystemExit(f"{args.gguf} is not there; give a .gguf file")
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # in the server's threads too
    server = xllamacpp.Server(parameters(xllamacpp, args))
    print(f"{args.name} answers at {server.listening_address}/v1", flush=True)
    signal.sigwait(ends)


if __name__ == "__main__":
    main()
