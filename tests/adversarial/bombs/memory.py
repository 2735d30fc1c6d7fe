# expect: out_of_memory
# A list without end.
def act(question):
    kept = []
    while True:
        kept.append(bytearray(1 << 24))
