"""Connects model.py with the judge. Not evolved."""

import cambrian_sdk
import torch

import model as evolved


class TorchCandidate:
    def __init__(self, setup):
        torch.set_num_threads(setup.threads)
        torch.manual_seed(setup.seed)
        self.device = torch.device(setup.device)
        self.model = evolved.make_model().to(self.device)

    def train(self, data, training):
        inputs = torch.from_numpy(data["inputs"]).to(self.device)
        targets = torch.from_numpy(data["targets"]).to(self.device)
        self.model.train()
        evolved.train(self.model, inputs, targets, training)
        return {name: value.cpu().numpy() for name, value in self.model.state_dict().items()}

    def load(self, state):
        fresh = self.model.state_dict()
        for name, value in state.items():
            fresh[name].copy_(torch.from_numpy(value))

    @torch.inference_mode()
    def predict(self, inputs):
        self.model.eval()
        return self.model(torch.from_numpy(inputs).to(self.device)).float().cpu().numpy()

    def probe(self, inputs):
        """A prediction that leaves no trace in the training."""
        state = torch.get_rng_state()
        modes = [(part, part.training) for part in self.model.modules()]
        buffers = [(buffer, buffer.clone()) for buffer in self.model.buffers()]
        try:
            with torch.no_grad():
                self.model.eval()
                outputs = self.model(torch.from_numpy(inputs).to(self.device))
                return outputs.float().cpu().numpy()
        finally:
            torch.set_rng_state(state)
            for part, mode in modes:
                part.training = mode
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)


cambrian_sdk.run_candidate(TorchCandidate)
