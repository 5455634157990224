"""Calls one method over and over from many connections until standard input ends; prints what came of it as JSON.

Usage: load.py ADDRESS METHOD REQUEST_HEX CLIENTS

No retries: gRPC's own are switched off, and a failed call is counted and not made again.
"""

import json
import sys
import threading

import grpc


def main() -> None:
    address, method, request, clients = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]), int(sys.argv[4])
    is_over = threading.Event()
    lock = threading.Lock()
    told = {"answered": 0, "failed": []}

    def work() -> None:
        # A channel of its own: channels to one address would share a connection.
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options=options) as channel:
            call = channel.unary_unary(method)
            while not is_over.is_set():
                try:
                    call(request, wait_for_ready=True, timeout=60)
                    with lock:
                        told["answered"] += 1
                        if told["answered"] % 100 == 1:
                            print(json.dumps({"answered": told["answered"]}), flush=True)
                except grpc.RpcError as error:
                    with lock:
                        told["failed"].append(f"{error.code().name}: {error.details()}")

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(told), flush=True)


main()
